"""Who waits for a reply is looked after by one thread for all."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Iterator

import pytest

from optillm_cerebras_cepo.host.hangup import Clients, _watch

MANY = 1500  # files that are open


def never() -> bool:
    """Tell nobody's leaving."""
    return False


def broken() -> bool:
    """Fail where it should tell."""
    raise RuntimeError("no socket")


def test_only_the_one_that_left_is_told() -> None:
    """And the trouble with another does not keep it from that."""
    clients, told = Clients(), list[str]()
    with (
        clients.watched(never, lambda: told.append("stays")),
        clients.watched(broken, lambda: told.append("unknown")),
        clients.watched(lambda: True, lambda: told.append("left")),
    ):
        clients.look()
    assert told == ["left"]


def test_nobody_is_looked_after_longer_than_the_request() -> None:
    """However it ends."""
    clients, told = Clients(), list[str]()
    with pytest.raises(ValueError, match="over"), clients.watched(lambda: True, lambda: told.append("left")):
        raise ValueError("over")
    clients.look()
    assert told == []


def test_it_looks_by_itself() -> None:
    """Without anybody asking it to, and again after it has."""
    clients, told = Clients(), threading.Semaphore(0)
    for _ in range(2):
        with clients.watched(lambda: True, told.release):
            assert told.acquire(timeout=30)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end of a connection, with a number as high as among many others, and the client's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, MANY + 1), hard))
    server, client = socket.socketpair()
    with server, client, socket.socket(fileno=os.dup2(server.fileno(), MANY)) as high:
        yield high, client
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_client_is_there_until_it_hangs_up(ends: tuple[socket.socket, socket.socket]) -> None:
    """On OptiLLM's own server: silent, with something more to say, gone; whatever the number of its connection is."""
    server, client = ends
    hung_up = _watch({"werkzeug.socket": server})
    assert not hung_up()
    client.sendall(b"?")
    assert not hung_up()
    assert server.recv(1) == b"?"
    client.close()
    assert hung_up()


def test_a_closed_connection_has_nobody_on_it(ends: tuple[socket.socket, socket.socket]) -> None:
    """The server closed it already."""
    server, _ = ends
    hung_up = _watch({"werkzeug.socket": server})
    server.close()
    assert hung_up()
