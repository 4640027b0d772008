"""Who is ended when it is late, and who is not."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

import pytest

from optillm_cerebras_cepo.cepo.best_of_n import Race
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import OutOfTime


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_the_others_go_on_while_there_is_time() -> None:
    """A candidate that is there ends nobody."""
    race = Race(Deadline(100, Clock()), 3, lambda: 10.0)
    race.finish(1)
    for part in race.parts:
        part.check()


def test_who_comes_late_ends_the_others() -> None:
    """In the time that is kept for choosing one is enough; it goes on itself, for it is to be rated."""
    clock = Clock()
    race = Race(Deadline(100, clock), 3, lambda: 10.0)
    clock.now = 90.0
    race.parts[2].check()
    race.finish(1)
    race.parts[0].check()
    for part in race.parts[1:]:
        with pytest.raises(OutOfTime, match="choosing among the other candidates"):
            part.check()


def test_the_watch_ends_who_is_late_once_another_is_there() -> None:
    """What is kept for choosing may grow while calls are made: it is asked for anew."""
    kept, stopped = iter([0.0, 59.98, 100.0, 100.0]), Event()
    race = Race(Deadline(60), 2, lambda: next(kept))
    race.finish(2)
    with race.parts[0].on_end(stopped.set), ThreadPoolExecutor(1) as threads:
        race.watch([threads.submit(stopped.wait, 10)])
    assert stopped.is_set()
    with pytest.raises(OutOfTime):
        race.parts[0].check()


def test_the_watch_ends_nobody_when_all_are_done() -> None:
    """However late it is when the last one comes."""
    clock = Clock()
    race, done = Race(Deadline(100, clock), 1, lambda: 10.0), Future[None]()
    done.set_result(None)
    race.watch([done])
    race.parts[0].check()
