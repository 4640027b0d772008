"""The gate: how many calls are out at once, whose is next, and what becomes of a call that may not go out."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.scripted import Scripted, completion, in_turn

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Message, Step
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import ApiUnavailable, Ends, OutOfTime, QuotaExhausted, RateLimited
from optillm_cerebras_cepo.events import Event, Waits, ignore
from optillm_cerebras_cepo.llm.base import ChatClient
from optillm_cerebras_cepo.llm.estimate import Estimates
from optillm_cerebras_cepo.llm.limits import limited
from optillm_cerebras_cepo.llm.pace import Gate, Gates, LocalBooks, Pace
from optillm_cerebras_cepo.quota import Allowance


def gate_for(most: int = 64, **own: float) -> Gate:
    """A gate with these limits of the operator's, by window; an underscore stands for the dash."""
    windows = {name.replace("_", "-"): limit for name, limit in own.items()}
    return Gate(LocalBooks(lambda now: limited(windows, now)), most)


def request(step: Step = Step.PLAN, seconds: float = 60.0) -> ChatRequest:
    """A call of a request that has so much time."""
    return ChatRequest("m", (Message("user", "q"),), 10, Label(step, 1), deadline=Deadline(seconds))


def pace(inner: ChatClient, gate: Gate, age: int = 1, events: list[Event] | None = None) -> Pace:
    """One request's calls through this gate."""
    return Pace(inner, lambda _: gate, Estimates(), age, ignore if events is None else events.append)


def until(gate: Gate, waiting: int) -> None:
    """Return when so many calls wait."""
    while gate.waiting != waiting:
        time.sleep(0.001)


class Held:
    """An API that answers when it is told to."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.served: list[str] = []

    def complete(self, request: ChatRequest) -> Completion:
        """Answer."""
        self.served.append(f"{request.model} {request.label.step.value}")
        self.free.wait(60)
        return completion("ok")


def test_older_requests_and_later_steps_go_first() -> None:
    """Among calls that wait for the same place, in whatever order they came."""
    gate, api = gate_for(1, requests_minute=6_000), Held()
    waiting = [(2, Step.FINAL), (1, Step.PLAN), (1, Step.FINAL), (2, Step.PLAN), (1, Step.EXECUTE)]
    with ThreadPoolExecutor(len(waiting) + 1) as threads:
        threads.submit(pace(api, gate).complete, request())
        while not api.served:
            time.sleep(0.001)
        for number, (age, step) in enumerate(waiting, 1):
            threads.submit(pace(api, gate, age).complete, replace(request(step), model=str(age)))
            until(gate, number)
        api.free.set()
    assert api.served[1:] == ["1 final", "1 execute", "1 plan", "2 final", "2 plan"]


def test_a_call_that_waited_has_only_the_time_that_is_left() -> None:
    """Its time-out was set before it waited."""
    gate, api, now = gate_for(1), Held(), [100.0]
    asked = Scripted()
    with ThreadPoolExecutor(2) as threads:
        threads.submit(pace(api, gate).complete, request())
        while not api.served:
            time.sleep(0.001)
        late = replace(request(), timeout=120.0, deadline=Deadline(50, lambda: now[0]))
        threads.submit(pace(asked, gate).complete, late)
        until(gate, 1)
        now[0] += 30
        api.free.set()
    assert asked.requests[0].timeout == 20


def test_a_lack_of_capacity_halves_what_is_out_at_once() -> None:
    """Once for calls that went out together; each reply that filled the gate then raises it a little."""
    gate, gathered = gate_for(8, requests_minute=60_000), threading.Barrier(8)

    def refuse(_: ChatRequest) -> RateLimited:
        gathered.wait(30)
        return RateLimited("queue_exceeded")

    with ThreadPoolExecutor(8) as threads:
        for future in [threads.submit(pace(Scripted(refuse), gate).complete, request()) for _ in range(8)]:
            with pytest.raises(RateLimited):
                future.result()
    assert gate.bears == 4
    for _ in range(3):
        pace(Scripted(), gate).complete(request())
    assert gate.bears == 4  # one call at a time says nothing of more
    for _ in range(4):
        with pytest.raises(RateLimited):
            pace(Scripted(in_turn(RateLimited("queue_exceeded"))), gate).complete(request())
    assert gate.bears == 1  # and never none
    pace(Scripted(), gate).complete(request())
    assert gate.bears == 2


def test_a_day_that_is_used_up_ends_the_request() -> None:
    """Without a call: it says when the next one is possible."""
    gate = gate_for()
    day = {"requests-minute": Allowance(30, 20), "requests-day": Allowance(2_400, 0)}
    pace(Scripted(lambda _: replace(completion("ok"), quota=day)), gate).complete(request())
    api = Scripted()
    with pytest.raises(
        QuotaExhausted, match="2,400 requests a day is used up; the next call is possible in 3"
    ) as caught:
        pace(api, gate).complete(request())
    assert (caught.value.status, caught.value.ends, api.requests) == (429, Ends.MODEL, [])
    assert caught.value.retry_after is not None
    assert 30 < caught.value.retry_after < 40


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    """It fails at once with the time of the next call, so that what is possible without it is not late."""
    gate = gate_for(requests_minute=1)
    pace(Scripted(), gate).complete(request())
    with pytest.raises(
        RateLimited, match="1 requests a minute is used up for 60 s, longer than there is time"
    ) as caught:
        pace(Scripted(), gate).complete(request(seconds=5))
    assert caught.value.retry_after is not None
    assert 55 < caught.value.retry_after <= 60.1
    assert gate.waiting == 0


def test_the_client_hears_of_a_wait() -> None:
    """What for, and for how long."""
    gate, events = gate_for(requests_minute=30), list[Event]()
    for _ in range(29):
        pace(Scripted(), gate, events=events).complete(request())
    assert events == []
    last = request()
    with ThreadPoolExecutor(3) as threads:
        for _ in range(2):
            threads.submit(pace(Scripted(), gate, events=events).complete, last)
        while not events:
            time.sleep(0.01)
        last.deadline.end(OutOfTime("enough"))
    waits = events[0]
    assert isinstance(waits, Waits)
    assert 1 < waits.seconds <= 2.1
    assert waits.error.message == "the limit of 30 requests a minute is used up"


def test_a_failed_call_gives_its_place_back() -> None:
    """Whatever it failed of."""
    gate = gate_for(1)
    for error in (ApiUnavailable("503"), OutOfTime("late"), ValueError("a defect")):
        with pytest.raises(type(error)):
            pace(Scripted(in_turn(error)), gate).complete(request())
    assert pace(Scripted(), gate).complete(request()).text == "an answer"


def test_each_model_key_and_address_has_a_gate_of_its_own() -> None:
    """And the same one each time."""
    gates = Gates(lambda _, known: LocalBooks(known))
    one = gates.of(("http://a", "key"), "m", 4, {})
    assert gates.of(("http://a", "key"), "m", 4, {}) is one
    others = {gates.of(api, model, 4, {}) for api, model in [(("http://a", "other"), "m"), (("http://b", "key"), "m")]}
    assert len(others | {one, gates.of(("http://a", "key"), "n", 4, {})}) == 4


def test_a_reply_is_charged_as_the_api_charges_it() -> None:
    """Its limit, but no more than 16,384 tokens of it, and the prompt."""
    gate, seen = gate_for(requests_minute=6_000, tokens_minute=40_000), list[Event]()
    for _ in range(2):
        pace(Scripted(), gate, events=seen).complete(replace(request(), max_tokens=60_000))
    assert seen == []
    with pytest.raises(RateLimited, match="40,000 tokens a minute is used up"):
        pace(Scripted(), gate).complete(replace(request(seconds=5), max_tokens=60_000))
