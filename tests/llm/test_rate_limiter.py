"""Rate limiter: calls in flight, their order, and calls that may not go out."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.scripted import Scripted, completion, in_turn

from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion, Label, Message, Step
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import ApiUnavailable, ErrorScope, OutOfTime, QuotaExhausted, RateLimited
from optillm_cerebras_cepo.core.events import CallDelayed, Event, ignore
from optillm_cerebras_cepo.core.rate_limit_headers import Allowance
from optillm_cerebras_cepo.llm.context_window import TokenEstimates
from optillm_cerebras_cepo.llm.rate_limits.limiter import (
    LocalLimitStore,
    RateLimitedClient,
    RateLimiter,
)
from optillm_cerebras_cepo.llm.rate_limits.limits import initial_limits
from optillm_cerebras_cepo.llm.rate_limits.registry import LimiterRegistry


def limiter_for(most: int = 64, clock: Callable[[], float] = time.monotonic, **own: float) -> RateLimiter:
    """A limiter with these limits of the operator's, by window; an underscore stands for the dash."""
    windows = {name.replace("_", "-"): limit for name, limit in own.items()}
    return RateLimiter(LocalLimitStore(lambda now: initial_limits(windows, now), clock), most)


def request(step: Step = Step.PLAN, seconds: float = 60.0) -> ChatRequest:
    """A call of a request that has so much time."""
    return ChatRequest("m", (Message("user", "q"),), 10, Label(step, 1), deadline=Deadline(seconds))


def paced(
    inner: ChatClient, limiter: RateLimiter, age: int = 1, events: list[Event] | None = None
) -> RateLimitedClient:
    """One request's calls through this limiter."""
    return RateLimitedClient(
        inner, lambda _: limiter, TokenEstimates(), age, ignore if events is None else events.append
    )


def until(limiter: RateLimiter, waiting: int) -> None:
    """Return when so many calls wait."""
    while limiter.waiting != waiting:
        time.sleep(0.001)


class Held:
    """API that answers once `free` is set."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.served: list[str] = []

    def complete(self, request: ChatRequest) -> Completion:
        """Answer."""
        self.served.append(f"{request.model} {request.label.step.value}")
        self.free.wait(60)
        return completion("ok")


def test_older_requests_and_later_steps_go_first() -> None:
    """Whatever the order of arrival."""
    limiter, api = limiter_for(1, requests_minute=6_000), Held()
    waiting = [(2, Step.FINAL), (1, Step.PLAN), (1, Step.FINAL), (2, Step.PLAN), (1, Step.EXECUTE)]
    with ThreadPoolExecutor(len(waiting) + 1) as threads:
        threads.submit(paced(api, limiter).complete, request())
        while not api.served:
            time.sleep(0.001)
        for number, (age, step) in enumerate(waiting, 1):
            threads.submit(paced(api, limiter, age).complete, replace(request(step), model=str(age)))
            until(limiter, number)
        api.free.set()
    assert api.served[1:] == ["1 final", "1 execute", "1 plan", "2 final", "2 plan"]


def test_timeout_is_limited_to_the_remaining_time_after_a_wait() -> None:
    """It was set before the wait."""
    limiter, api, now = limiter_for(1), Held(), [100.0]
    asked = Scripted()
    with ThreadPoolExecutor(2) as threads:
        threads.submit(paced(api, limiter).complete, request())
        while not api.served:
            time.sleep(0.001)
        late = replace(request(), timeout=120.0, deadline=Deadline(50, lambda: now[0]))
        threads.submit(paced(asked, limiter).complete, late)
        until(limiter, 1)
        now[0] += 30
        api.free.set()
    assert asked.requests[0].timeout == 20


def test_lack_of_capacity_halves_the_concurrency() -> None:
    """Once for calls that went out together; replies at full concurrency then raise it slowly."""
    limiter, gathered = limiter_for(8, requests_minute=60_000), threading.Barrier(8)

    def refuse(_: ChatRequest) -> RateLimited:
        gathered.wait(30)
        return RateLimited("queue_exceeded")

    with ThreadPoolExecutor(8) as threads:
        for future in [threads.submit(paced(Scripted(refuse), limiter).complete, request()) for _ in range(8)]:
            with pytest.raises(RateLimited):
                future.result()
    assert limiter.max_concurrency == 4
    for _ in range(3):
        paced(Scripted(), limiter).complete(request())
    assert limiter.max_concurrency == 4  # with one call in flight the limit is not reached
    for _ in range(4):
        with pytest.raises(RateLimited):
            paced(Scripted(in_turn(RateLimited("queue_exceeded"))), limiter).complete(request())
    assert limiter.max_concurrency == 1  # and never none
    paced(Scripted(), limiter).complete(request())
    assert limiter.max_concurrency == 2


def test_used_up_day_ends_the_request() -> None:
    """Without a call; the error states when the next one is possible."""
    limiter = limiter_for()
    day = {"requests-minute": Allowance(30, 20), "requests-day": Allowance(2_400, 0)}
    paced(Scripted(lambda _: replace(completion("ok"), quota=day)), limiter).complete(request())
    api = Scripted()
    with pytest.raises(
        QuotaExhausted, match="2,400 requests a day is used up; the next call is possible in 3"
    ) as caught:
        paced(api, limiter).complete(request())
    assert (caught.value.status, caught.value.scope, api.requests) == (429, ErrorScope.MODEL, [])
    assert caught.value.retry_after is not None
    assert 30 < caught.value.retry_after < 40


def test_wait_beyond_the_deadline_fails_at_once() -> None:
    """With the time of the next call, so that other steps are not delayed."""
    limiter = limiter_for(clock=lambda: 0.0, requests_minute=1)
    paced(Scripted(), limiter).complete(request())
    with pytest.raises(
        RateLimited, match="1 requests a minute is used up for 60 s, longer than the time left"
    ) as caught:
        paced(Scripted(), limiter).complete(request(seconds=5))
    assert caught.value.retry_after is not None
    assert 55 < caught.value.retry_after <= 60.1
    assert limiter.waiting == 0


def test_long_wait_is_reported() -> None:
    """With its reason and its length."""
    milliseconds = itertools.count()  # one for each look at the clock
    limiter, events = limiter_for(clock=lambda: next(milliseconds) / 1000, requests_minute=30), list[Event]()
    for _ in range(29):
        paced(Scripted(), limiter, events=events).complete(request())
    assert events == []
    last = request()
    with ThreadPoolExecutor(3) as threads:
        for _ in range(2):
            threads.submit(paced(Scripted(), limiter, events=events).complete, last)
        while not events:
            time.sleep(0.01)
        last.deadline.end(OutOfTime("enough"))
    waits = events[0]
    assert isinstance(waits, CallDelayed)
    assert 1 < waits.seconds <= 2.1
    assert waits.error.message == "the limit of 30 requests a minute is used up"


def test_failed_call_releases_its_slot() -> None:
    """Whatever the error."""
    limiter = limiter_for(1)
    for error in (ApiUnavailable("503"), OutOfTime("late"), ValueError("a defect")):
        with pytest.raises(type(error)):
            paced(Scripted(in_turn(error)), limiter).complete(request())
    assert paced(Scripted(), limiter).complete(request()).text == "an answer"


def test_each_model_key_and_address_has_its_own_limiter() -> None:
    """And always the same one."""
    registry = LimiterRegistry()
    one = registry.limiter(None, ("http://a", "key"), "m", 4, {})
    assert registry.limiter(None, ("http://a", "key"), "m", 4, {}) is one
    others = {
        registry.limiter(None, api, model, 4, {})
        for api, model in [(("http://a", "other"), "m"), (("http://b", "key"), "m")]
    }
    assert len(others | {one, registry.limiter(None, ("http://a", "key"), "n", 4, {})}) == 4


def test_call_is_charged_as_by_the_api() -> None:
    """Its prompt and its limit, but at most 16,384 tokens of the limit."""
    limiter, seen = limiter_for(requests_minute=6_000, tokens_minute=40_000), list[Event]()
    for _ in range(2):
        paced(Scripted(), limiter, events=seen).complete(replace(request(), max_tokens=60_000))
    assert seen == []
    with pytest.raises(RateLimited, match="40,000 tokens a minute is used up"):
        paced(Scripted(), limiter).complete(replace(request(seconds=5), max_tokens=60_000))
