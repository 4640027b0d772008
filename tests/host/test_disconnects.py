"""Detection of clients that hang up: one thread for all of them."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Iterator

import pytest

from optillm_cerebras_cepo.host.execution import DisconnectWatcher, connection_check

MANY = 1500  # files that are open


def never() -> bool:
    """Return false: the client is connected."""
    return False


def broken() -> bool:
    """Fail to check the connection."""
    raise RuntimeError("no socket")


def test_only_the_disconnected_client_is_reported() -> None:
    """Even if the check of another one fails."""
    clients, told = DisconnectWatcher(), list[str]()
    with (
        clients.watched(never, lambda: told.append("stays")),
        clients.watched(broken, lambda: told.append("unknown")),
        clients.watched(lambda: True, lambda: told.append("left")),
    ):
        clients.check()
    assert told == ["left"]


def test_a_client_is_not_checked_after_its_request() -> None:
    """However the request ends."""
    clients, told = DisconnectWatcher(), list[str]()
    with pytest.raises(ValueError, match="over"), clients.watched(lambda: True, lambda: told.append("left")):
        raise ValueError("over")
    clients.check()
    assert told == []


def test_connections_are_checked_periodically() -> None:
    """By a thread that goes on after the first request."""
    clients, told = DisconnectWatcher(), threading.Semaphore(0)
    for _ in range(2):
        with clients.watched(lambda: True, told.release):
            assert told.acquire(timeout=30)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The server's end of a connection, with a file descriptor above 1024, and the client's end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, MANY + 1), hard))
    server, client = socket.socketpair()
    with server, client, socket.socket(fileno=os.dup2(server.fileno(), MANY)) as high:
        yield high, client
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_client_is_connected_until_it_hangs_up(ends: tuple[socket.socket, socket.socket]) -> None:
    """On OptiLLM's own server: idle, with unread data, and gone; with any file descriptor."""
    server, client = ends
    hung_up = connection_check({"werkzeug.socket": server})
    assert not hung_up()
    client.sendall(b"?")
    assert not hung_up()
    assert server.recv(1) == b"?"
    client.close()
    assert hung_up()


def test_a_connection_that_the_server_has_closed_is_disconnected(ends: tuple[socket.socket, socket.socket]) -> None:
    """The check raises nothing."""
    server, _ = ends
    hung_up = connection_check({"werkzeug.socket": server})
    server.close()
    assert hung_up()
