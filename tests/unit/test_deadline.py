"""A request's time: it runs out, it can be ended early, and waiting respects both."""

from __future__ import annotations

import threading
import time

import pytest

from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import DeadlineExceeded, Ended, WrongKey


class Clock:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_time_runs_out() -> None:
    """Past its time a request starts no call, and the error says which setting to raise."""
    clock = Clock()
    deadline = Deadline(5, clock)
    deadline.check()
    clock.now += 4
    assert deadline.remaining == 1
    clock.now += 2
    assert deadline.remaining == 0
    with pytest.raises(DeadlineExceeded, match="within 5 s; raise CEPO_CEREBRAS_DEADLINE"):
        deadline.check()


def test_the_first_reason_to_end_stays() -> None:
    """What ended a request first is what its calls are told."""
    deadline = Deadline(5)
    deadline.end(WrongKey("first"))
    deadline.end()
    with pytest.raises(WrongKey, match="first"):
        deadline.check()


def test_an_ended_request_starts_no_call() -> None:
    """Ending without a reason, as when the answer is found, stops the rest too."""
    deadline = Deadline(5)
    deadline.end()
    with pytest.raises(Ended):
        deadline.check()


def test_who_waits_is_woken_when_the_request_ends() -> None:
    """A wait of a minute ends with the request."""
    deadline = Deadline(60)
    waiting = threading.Thread(target=deadline.wait, args=(60,))
    waiting.start()
    deadline.end()
    waiting.join(5)
    assert not waiting.is_alive()


def test_a_wait_is_never_longer_than_the_time_left() -> None:
    """Asked to sleep for an hour, a request sleeps until its deadline."""
    started = time.monotonic()
    Deadline(0.05).wait(3600)
    assert time.monotonic() - started < 60
