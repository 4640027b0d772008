"""Who waits for a reply is looked after by one thread for all."""

from __future__ import annotations

import threading

import pytest

from optillm_cerebras_cepo.host.hangup import Clients


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
