"""Deadline: it expires, can end early, and waits respect both."""

from __future__ import annotations

import threading
import time

import pytest

from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import DeadlineExceeded, Ended, OutOfTime, WrongKey


class Clock:
    """Clock that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_time_runs_out() -> None:
    """After that no call starts, and the error names the setting to raise."""
    clock = Clock()
    deadline = Deadline(5, clock)
    deadline.check()
    clock.now += 4
    assert deadline.remaining == 1
    clock.now += 2
    assert deadline.remaining == 0
    with pytest.raises(DeadlineExceeded, match="within 5 s; raise CEPO_CEREBRAS_DEADLINE"):
        deadline.check()


def test_first_reason_counts() -> None:
    """It is what calls raise."""
    deadline = Deadline(5)
    deadline.end(WrongKey("first"))
    deadline.end()
    with pytest.raises(WrongKey, match="first"):
        deadline.check()


def test_ended_request_starts_no_call() -> None:
    """Also without a reason, as when the answer is found."""
    deadline = Deadline(5)
    deadline.end()
    with pytest.raises(Ended):
        deadline.check()


def test_waiter_is_woken_when_the_request_ends() -> None:
    """A wait of a minute ends with the request."""
    deadline = Deadline(60)
    waiting = threading.Thread(target=deadline.wait, args=(60,))
    waiting.start()
    deadline.end()
    waiting.join(5)
    assert not waiting.is_alive()


def test_wait_is_never_longer_than_the_remaining_time() -> None:
    """A wait of an hour ends at the deadline."""
    started = time.monotonic()
    Deadline(0.05).wait(3600)
    assert time.monotonic() - started < 60


def test_part_is_over_before_the_whole() -> None:
    """The whole continues; when it is over as well, its error counts."""
    clock = Clock()
    whole = Deadline(10, clock)
    part = whole.part(reserve=4)
    assert (part.remaining, whole.remaining) == (6, 10)
    clock.now += 7
    with pytest.raises(OutOfTime):
        part.check()
    whole.check()
    clock.now += 4
    with pytest.raises(DeadlineExceeded):
        part.check()


def test_ended_part_does_not_end_the_whole() -> None:
    """Only work under the part ends."""
    whole = Deadline(10)
    part, other, told = whole.part(), whole.part(), []
    with part.on_end(lambda: told.append("part")), other.on_end(lambda: told.append("other")):
        part.end(Ended("not needed"))
        assert told == ["part"]
    with pytest.raises(Ended, match="not needed"):
        part.check()
    whole.check()
    other.check()


def test_whole_ends_its_parts() -> None:
    """And parts of parts; waiters are woken with the reason."""
    whole = Deadline(60)
    part = whole.part().part()
    waiting = threading.Thread(target=part.wait, args=(60,))
    waiting.start()
    assert part.whole is whole
    whole.end(WrongKey("wrong"))
    waiting.join(5)
    assert not waiting.is_alive()
    with pytest.raises(WrongKey):
        part.check()
