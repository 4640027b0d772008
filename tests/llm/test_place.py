"""Taking turns: never more at once than there are places, the oldest request first, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import DeadlineExceeded, Ended, WrongKey
from optillm_cerebras_cepo.llm.place import Place, Places


class Slow:
    """Answers after a moment; keeps who was served in which order, and how many at once."""

    def __init__(self, seconds: float = 0.01) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0
        self.served: list[str] = []

    def complete(self, request: ChatRequest) -> Completion:
        """Answer."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.served.append(request.model)
        time.sleep(self._seconds)
        with self._lock:
            self._now -= 1
        return Completion("m", "x", "stop", Usage())


def request(name: str, step: Step = Step.PLAN, deadline: Deadline | None = None) -> ChatRequest:
    """A call that can be told from others."""
    return ChatRequest(name, (Message("user", "q"),), 10, Label(step), deadline=deadline or Deadline(60))


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
    while len(places._waiting) != count:
        time.sleep(0.001)


def test_older_requests_and_later_steps_go_first() -> None:
    """Among those that wait for the same place, in whatever order they came."""
    places, api = Places(1), Slow(0.0)
    thread, free = held(places)
    waiting = [(2, Step.FINAL), (1, Step.PLAN), (1, Step.FINAL), (2, Step.PLAN), (1, Step.EXECUTE)]
    with ThreadPoolExecutor(len(waiting)) as threads:
        for age, step in waiting:
            place = Place(api, places, age)
            threads.submit(place.complete, request(f"{age} {step.value}", step))
        until_waiting(places, len(waiting))
        free.set()
    thread.join()
    assert api.served == ["1 final", "1 execute", "1 plan", "2 final", "2 plan"]


def test_equals_go_in_the_order_of_their_coming() -> None:
    """Calls of the same request and step."""
    places, api = Places(1), Slow(0.0)
    thread, free = held(places)
    place = Place(api, places, 1)
    with ThreadPoolExecutor(4) as threads:
        for number in range(1, 5):
            threads.submit(place.complete, request(str(number)))
            until_waiting(places, number)
        free.set()
    thread.join()
    assert api.served == ["1", "2", "3", "4"]


def test_who_leaves_the_queue_changes_no_order() -> None:
    """The oldest request ends while it waits; the others go by age as before."""
    places, api = Places(1), Slow(0.0)
    thread, free = held(places)
    deadlines = {age: Deadline(60) for age in (1, 3, 2, 4)}
    with ThreadPoolExecutor(len(deadlines)) as threads:
        for number, (age, deadline) in enumerate(deadlines.items(), 1):
            threads.submit(Place(api, places, age).complete, request(str(age), deadline=deadline))
            until_waiting(places, number)
        deadlines[1].end()
        until_waiting(places, 3)
        free.set()
    thread.join()
    assert api.served == ["2", "3", "4"]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 25), st.integers(0))
def test_no_more_at_once_than_there_are_places(count: int, calls: int, seed: int) -> None:
    """And all are served, in any mixture of ages and steps."""
    random = Random(seed)
    places, api = Places(count), Slow(0.001)
    asked = [(random.randrange(4), random.choice(list(Step))) for _ in range(calls)]
    with ThreadPoolExecutor(calls) as threads:
        for age, step in asked:
            threads.submit(Place(api, places, age).complete, request("m", step))
    assert len(api.served) == calls
    assert api.most <= count


def test_who_waits_beyond_its_deadline_leaves_the_queue() -> None:
    """Without taking the place from anybody."""
    places = Places(1)
    thread, free = held(places)
    with pytest.raises(DeadlineExceeded), places.taken((0,), Deadline(0.05)):
        pass
    free.set()
    thread.join()
    with places.taken((0,), Deadline(1)):
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


def test_a_call_that_waited_has_only_the_time_that_is_left() -> None:
    """Its time-out was set before it waited."""
    seen: list[float | None] = []

    class Api:
        def complete(self, request: ChatRequest) -> Completion:
            seen.append(request.timeout)
            return Completion("m", "x", "stop", Usage())

    now = [100.0]
    places = Places(1)
    thread, free = held(places)
    asked = replace(request("m", deadline=Deadline(50, lambda: now[0])), timeout=120.0)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(Place(Api(), places, 0).complete, asked)
        until_waiting(places, 1)
        now[0] += 30
        free.set()
    thread.join()
    assert seen == [20]
