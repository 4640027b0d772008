"""A request's time: it runs out, it can be ended early, and waiting respects both."""

from __future__ import annotations

import threading
import time

import pytest

from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import DeadlineExceeded, Ended, OutOfTime, WrongKey


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


def test_a_part_is_over_before_the_whole() -> None:
    """The rest of the time is somebody else's; the whole goes on, and has the last word when it is over too."""
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


def test_a_part_that_is_ended_leaves_the_whole() -> None:
    """Whoever works under the part is told, and nobody else."""
    whole = Deadline(10)
    part, other, told = whole.part(), whole.part(), []
    with part.on_end(lambda: told.append("part")), other.on_end(lambda: told.append("other")):
        part.end(Ended("not needed"))
        assert told == ["part"]
    with pytest.raises(Ended, match="not needed"):
        part.check()
    whole.check()
    other.check()


def test_the_whole_ends_its_parts() -> None:
    """And parts of parts; who waits under one is woken, and told why."""
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
