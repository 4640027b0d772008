"""Taking turns: never more at once than there are places, the oldest request first, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optillm_cerebras_cepo.deadline import Deadline, unlimited
from optillm_cerebras_cepo.errors import DeadlineExceeded, Ended, WrongKey
from optillm_cerebras_cepo.llm.line import Closed, Line, Places, Rank


class Work:
    """What is done at a place: takes a moment; keeps who was served in which order, and how many at once."""

    def __init__(self, places: Places, seconds: float = 0.0) -> None:
        self._places = places
        self._seconds = seconds
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.served: list[str] = []

    def do(self, name: str, rank: Rank, deadline: Deadline) -> None:
        """Wait for a place, and be served."""
        with self._places.taken(rank, deadline):
            with self._lock:
                self._now += 1
                self.most = max(self.most, self._now)
                self.served.append(name)
            time.sleep(self._seconds)
            with self._lock:
                self._now -= 1


def held(places: Places) -> tuple[threading.Thread, threading.Event]:
    """Take the only place until the event is set."""
    taken, free = threading.Event(), threading.Event()

    def hold() -> None:
        with places.taken((0,), Deadline(60)):
            taken.set()
            free.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(60)
    return thread, free


def until_waiting(places: Places, count: int) -> None:
    """Return when so many wait."""
    while places.waiting != count:
        time.sleep(0.001)


def test_they_are_let_in_by_rank() -> None:
    """Among those that wait for the same place, in whatever order they came; equals in that order."""
    places = Places(1)
    work = Work(places)
    thread, free = held(places)
    waiting = [(2, 0), (1, 9), (1, 0), (2, 9), (1, 5), (1, 9)]
    with ThreadPoolExecutor(len(waiting)) as threads:
        for number, rank in enumerate(waiting, 1):
            threads.submit(work.do, f"{rank} as {number}", rank, Deadline(60))
            until_waiting(places, number)
        free.set()
    thread.join()
    assert work.served == ["(1, 0) as 3", "(1, 5) as 5", "(1, 9) as 2", "(1, 9) as 6", "(2, 0) as 1", "(2, 9) as 4"]


def test_who_leaves_the_line_changes_no_order() -> None:
    """The first in line gives up; the others go by rank as before."""
    places = Places(1)
    work = Work(places)
    thread, free = held(places)
    deadlines = {rank: Deadline(60) for rank in (1, 3, 2, 4)}
    with ThreadPoolExecutor(len(deadlines)) as threads:
        for number, (rank, deadline) in enumerate(deadlines.items(), 1):
            threads.submit(work.do, str(rank), (rank,), deadline)
            until_waiting(places, number)
        deadlines[1].end()
        until_waiting(places, 3)
        free.set()
    thread.join()
    assert work.served == ["2", "3", "4"]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 25), st.integers(0))
def test_no_more_at_once_than_there_are_places(count: int, visits: int, seed: int) -> None:
    """And all are served, in any mixture of ranks."""
    random = Random(seed)
    work = Work(Places(count), 0.001)
    with ThreadPoolExecutor(visits) as threads:
        for number in range(visits):
            threads.submit(work.do, str(number), (random.randrange(4),), Deadline(60))
    assert len(work.served) == visits
    assert work.most <= count


def test_who_waits_beyond_its_deadline_leaves_the_queue() -> None:
    """Without taking the place from anybody."""
    places = Places(1)
    thread, free = held(places)
    with pytest.raises(DeadlineExceeded), places.taken((0,), Deadline(0.05)):
        pass
    free.set()
    thread.join()
    with places.taken((0,), unlimited()):
        pass


@pytest.mark.parametrize("reason", [None, WrongKey("wrong")])
def test_who_waits_is_told_when_its_request_ends(reason: WrongKey | None) -> None:
    """At once."""
    places = Places(1)
    thread, free = held(places)
    deadline = Deadline(60)
    threading.Timer(0.05, deadline.end, (reason,)).start()
    with pytest.raises((Ended, WrongKey)), places.taken((0,), deadline):
        pass
    free.set()
    thread.join()


def test_the_first_in_line_alone_asks_at_the_door() -> None:
    """And asks again when the door said for how long it stays closed, without being woken."""
    asked: list[str] = []

    def door(name: str) -> str | Closed[str]:
        asked.append(name)
        return Closed(0.01, "closed") if len(asked) < 4 else name

    line, told = Line[str, str, str](door), list[str]()
    assert line.enter((0,), "first", Deadline(60), told.append) == "first"
    assert asked == ["first"] * 4
    assert told == ["closed"] * 3


def test_who_is_told_why_may_leave() -> None:
    """What it raises goes to who waited, and the next one's turn comes."""

    def leave(why: str) -> None:
        raise Ended(why)

    line = Line[str, str, str](lambda name: Closed(60.0, "closed for a minute") if name == "first" else name)
    with pytest.raises(Ended, match="a minute"):
        line.enter((0,), "first", Deadline(60), leave)
    assert line.enter((0,), "second", Deadline(60)) == "second"
    assert line.length == 0


def test_what_the_door_raises_goes_to_who_asked() -> None:
    """And the line goes on."""

    def door(name: str) -> str:
        if name == "first":
            raise WrongKey("refused")
        return name

    line: Line[str, str, None] = Line(door)
    with pytest.raises(WrongKey):
        line.enter((0,), "first", Deadline(60))
    assert line.enter((0,), "second", Deadline(60)) == "second"


def test_who_comes_later_does_not_slip_in() -> None:
    """While the first in line waits for the door, it is asked for nobody else, though it would be open for others."""
    line: Line[str, str, str] = Line(lambda name: Closed(60.0, "closed") if name == "first" else name)
    first, second = Deadline(60), Deadline(60)
    with ThreadPoolExecutor(2) as threads:
        waits = threads.submit(line.enter, (0,), "first", first)
        while line.length < 1:
            time.sleep(0.001)
        later = threads.submit(line.enter, (1,), "second", second)
        while line.length < 2 and not later.done():
            time.sleep(0.001)
        time.sleep(0.05)
        slipped = later.done()
        first.end()
        assert not slipped
        assert later.result(30) == "second"
        with pytest.raises(Ended):
            waits.result(30)
