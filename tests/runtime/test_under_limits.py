"""Requests under the API's limits, over real HTTP: none lost, nothing begun that cannot be ended.

How many calls are refused, and how much of a limit is used, is measured in `bench/limits.py`; the rules are tested in
made-up time in `llm/test_rate_limit_simulation.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import KEY
from support.releasing import released_at_the_end, releasing
from support.solving import solve
from support.waiting import until

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import Ended, QuotaExhausted, RateLimited
from optillm_cerebras_cepo.core.events import CallDelayed, Event
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.limits import RateLimits
from optillm_cerebras_cepo.simulator.problems import request_quota_exceeded, token_quota_exceeded
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
Start = Callable[..., tuple[Runtime, Simulator]]
SCALE = 60.0  # a minute of the API's in a second
SLOW = 0.001  # a minute in 17 hours: what has to be waited for does not come
TRIES = 50  # of a call: as many refusals as it takes


@pytest.fixture
def start(simulate: Simulate) -> Iterator[Start]:
    """Start a simulated API and a runtime for which the time passes as fast."""
    started: list[Runtime] = []

    def both(scale: float, **options: Any) -> tuple[Runtime, Simulator]:
        started.append(Runtime(scale))
        return started[-1], simulate(time_scale=scale, **options)

    yield both
    for runtime in started:
        runtime.reset()


def ask(runtime: Runtime, api: Simulator, **settings: Any) -> RequestResult:
    """Solve one question."""
    return solve(runtime, Question("What is 6 times 7?"), Settings(**settings), runtime.client(api.url, KEY))


def statuses(api: Simulator) -> Counter[int | None]:
    """How many calls ended in which way."""
    return Counter(call.status for call in api.chat_calls)


@pytest.mark.parametrize(
    "limits",
    [
        RateLimits(requests_per_minute=30),
        RateLimits(requests_per_minute=300, burst=10),
        RateLimits(tokens_per_minute=100_000),
        RateLimits(requests_per_minute=40, tokens_per_minute=400_000, requests_per_hour=2_000, requests_per_day=9_000),
    ],
    ids=["requests", "burst", "tokens", "several"],
)
def test_a_plan_from_a_cold_start_loses_nothing(start: Start, limits: RateLimits) -> None:
    """24 calls each for two requests at once, on an API whose limits nobody has told."""
    runtime, api = start(SCALE, limits=limits)
    with ThreadPoolExecutor(2) as clients:
        asking = [clients.submit(ask, runtime, api, call_attempts=TRIES) for _ in range(2)]
        assert [future.result().degraded for future in asking] == [(), ()]
    assert statuses(api)[200] == 2 * 24
    assert statuses(api).keys() <= {200, 429}


def test_an_api_without_headers_is_learnt_from_its_refusals(start: Start) -> None:
    """Each of them costs a call, and none a step."""
    runtime, api = start(SCALE, limits=RateLimits(requests_per_minute=10), limit_headers="none")
    assert ask(runtime, api, call_attempts=TRIES).degraded == ()
    assert statuses(api)[200] == 24
    assert statuses(api).keys() <= {200, 429}


def test_the_client_hears_what_is_waited_for(start: Start) -> None:
    """5 requests a minute, and a small plan of six: five are made, and the client is told of the wait before the last.

    It does not wait that long.
    """
    events, deadline = list[Event](), Deadline(100_000)
    runtime, api = start(SLOW, limits=RateLimits(requests_per_minute=5))

    def hear(event: Event) -> None:
        events.append(event)
        if isinstance(event, CallDelayed):
            deadline.end(Ended("enough"))

    settings = Settings(bestofn_n=1, planning_n=2, planning_m=2)
    with pytest.raises(Ended, match="enough"):
        solve(runtime, Question("?"), settings, runtime.client(api.url, KEY), hear, deadline=deadline)
    assert statuses(api) == {200: 5}
    told = {one.error.message for one in events if isinstance(one, CallDelayed)}
    assert told == {"the limit of 5 requests a minute is used up"}


def test_a_lack_of_capacity_loses_nothing(start: Start) -> None:
    """queue_exceeded: the calls that are refused are made when there is room."""
    runtime, api = start(SCALE, max_in_flight=3, rules=(Rule(held=True),))
    with ThreadPoolExecutor(4) as clients, released_at_the_end(api):
        asking = [clients.submit(ask, runtime, api, call_attempts=TRIES) for _ in range(4)]
        until(lambda: statuses(api)[429])  # four go out before anything is known
        with releasing(api):
            assert [future.result().degraded for future in asking] == [()] * 4
    assert statuses(api)[200] == 4 * 24


@pytest.mark.parametrize("refusal", [request_quota_exceeded("day"), token_quota_exceeded("day")])
def test_a_day_that_is_used_up_ends_the_request_at_once(start: Start, refusal: Any) -> None:
    """Waiting for tomorrow is no use: one clear error, and of this request no further call."""
    runtime, api = start(SCALE, rules=(Rule(times=1), Rule(reply=refusal)))
    with pytest.raises(QuotaExhausted, match="the day's limit of this Cerebras key is used up") as caught:
        ask(runtime, api, bestofn_n=1, planning_n=1, planning_m=1)
    assert (caught.value.status, caught.value.code) == (429, "quota_exhausted")
    assert statuses(api) == {200: 1, 429: 1}


def test_a_limit_that_outlasts_the_deadline_is_said_at_once(start: Start) -> None:
    """With the seconds after which another try is of use."""
    runtime, api = start(SLOW, limits=RateLimits(requests_per_minute=1))
    ask(runtime, api, effort="none")
    with pytest.raises(RateLimited, match="the limit of 1 requests a minute is used up for") as caught:
        ask(runtime, api, effort="none")
    assert caught.value.retry_after is not None
    assert 59_000 < caught.value.retry_after <= 60_001
    assert statuses(api) == {200: 1}


def test_the_operators_rate_is_kept(start: Start) -> None:
    """`CEPO_CEREBRAS_RPM` below what the API would allow: a burst of it, and the next one has to wait."""
    runtime, api = start(SLOW)
    for _ in range(10):
        ask(runtime, api, rpm=10, effort="none")
    with pytest.raises(RateLimited, match="the limit of 10 requests a minute is used up"):
        ask(runtime, api, rpm=10, effort="none")
    assert statuses(api) == {200: 10}


@pytest.mark.parametrize("left", [1, 5, 8])
def test_what_the_calls_that_are_left_bear_is_the_answer(start: Start, left: int) -> None:
    """27 calls are asked for, a few are possible, or one: no more is begun."""
    runtime, api = start(SLOW, limits=RateLimits(requests_per_minute=left + 4))
    for _ in range(4):
        ask(runtime, api, effort="none")
    solved = ask(runtime, api)
    assert "42" in solved.outcome.answer
    assert solved.degraded
    assert statuses(api).keys() == {200}
    assert 0 < statuses(api)[200] - 4 <= left


@pytest.mark.parametrize("left", [5, 7])
def test_limits_that_nobody_has_told_cost_no_answer(start: Start, left: int) -> None:
    """A candidate's three plans are out before the API has said anything: what is left bears an answer."""
    runtime, api = start(SLOW, limits=RateLimits(requests_per_minute=left))
    solved = ask(runtime, api, bestofn_n=1)
    assert "42" in solved.outcome.answer
    assert solved.degraded
    assert statuses(api) == {200: left}
