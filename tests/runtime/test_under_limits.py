"""Requests under the API's limits, over real HTTP and in compressed time: none lost, hardly a call refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import KEY

from optillm_cerebras_cepo.chat import Question
from optillm_cerebras_cepo.errors import QuotaExhausted, RateLimited
from optillm_cerebras_cepo.events import Event, Waits, ignore
from optillm_cerebras_cepo.runtime import Runtime, Solved
from optillm_cerebras_cepo.settings import Settings
from optillm_cerebras_cepo.simulator import CLIENT_GONE
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.limits import RateLimits
from optillm_cerebras_cepo.simulator.problems import request_quota_exceeded, token_quota_exceeded
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SCALE = 60.0  # a minute of the API's in a second


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    """One for which a minute is a second, as for the simulated API."""
    runtime = Runtime(SCALE)
    yield runtime
    runtime.reset()


def ask(runtime: Runtime, api: Simulator, observer: Callable[[Event], None] = ignore, **settings: Any) -> Solved:
    """Solve one question."""
    return runtime.solve(Question("What is 6 times 7?"), Settings(**settings), runtime.client(api.url, KEY), observer)


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
def test_a_plan_from_a_cold_start_loses_nothing(simulate: Simulate, runtime: Runtime, limits: RateLimits) -> None:
    """27 calls each for two requests at once, on an API whose limits nobody has told."""
    api = simulate(limits=limits, time_scale=SCALE, rules=(Rule(latency=1.0),))
    with ThreadPoolExecutor(2) as clients:
        solved = [future.result() for future in [clients.submit(ask, runtime, api) for _ in range(2)]]
    assert [one.degraded for one in solved] == [(), ()]
    assert statuses(api)[200] == 2 * 27
    assert statuses(api)[429] <= 2


def test_an_api_without_headers_is_learnt_from_its_refusals(simulate: Simulate, runtime: Runtime) -> None:
    """Each of them costs a call, and none a step."""
    limits = RateLimits(requests_per_minute=30)
    api = simulate(limits=limits, limit_headers="none", time_scale=SCALE, rules=(Rule(latency=1.0),))
    assert ask(runtime, api).degraded == ()
    assert statuses(api)[200] == 27
    assert statuses(api)[429] <= 4


def test_the_free_tier_is_waited_for_and_the_client_hears_of_it(simulate: Simulate) -> None:
    """5 requests a minute: a small plan takes its time, and says what it waits for."""
    events, slower = list[Event](), SCALE / 12  # or the waits would be too short to be worth telling
    runtime = Runtime(slower)
    api = simulate(limits=RateLimits(requests_per_minute=5), time_scale=slower)
    ask(runtime, api, events.append, bestofn_n=1, planning_n=2, planning_m=2)
    runtime.reset()
    assert statuses(api) == {200: 6}
    told = {one.error.message for one in events if isinstance(one, Waits)}
    assert told == {"the limit of 5 requests a minute is used up"}


def test_a_lack_of_capacity_lowers_what_is_out_at_once(simulate: Simulate, runtime: Runtime) -> None:
    """queue_exceeded: nothing is lost, and the calls that are refused become few."""
    api = simulate(max_in_flight=3, time_scale=SCALE, rules=(Rule(latency=1.0),))
    with ThreadPoolExecutor(4) as clients:
        solved = [future.result() for future in [clients.submit(ask, runtime, api) for _ in range(4)]]
    assert [one.degraded for one in solved] == [()] * 4
    assert statuses(api)[200] == 4 * 27
    assert statuses(api)[429] <= 0.25 * 4 * 27


@pytest.mark.parametrize("refusal", [request_quota_exceeded("day"), token_quota_exceeded("day")])
def test_a_day_that_is_used_up_ends_the_request_at_once(simulate: Simulate, runtime: Runtime, refusal: Any) -> None:
    """Waiting for tomorrow is no use: one clear error, and of this request no further call."""
    api = simulate(rules=(Rule(times=1), Rule(reply=refusal)))
    with pytest.raises(QuotaExhausted, match="the day's limit of this Cerebras key is used up") as caught:
        ask(runtime, api, bestofn_n=1, planning_n=1, planning_m=1)
    assert (caught.value.status, caught.value.code) == (429, "quota_exhausted")
    assert statuses(api) == {200: 1, 429: 1}


def test_a_limit_that_outlasts_the_deadline_is_said_at_once(simulate: Simulate) -> None:
    """With the seconds after which another try is of use."""
    runtime = Runtime()
    api = simulate(limits=RateLimits(requests_per_minute=1))
    ask(runtime, api, effort="none")
    with pytest.raises(RateLimited, match="the limit of 1 requests a minute is used up for") as caught:
        ask(runtime, api, effort="none", deadline=20.0)
    assert caught.value.retry_after is not None
    assert 40 < caught.value.retry_after <= 61
    assert statuses(api) == {200: 1}
    runtime.reset()


def test_the_operators_rate_is_kept(simulate: Simulate, runtime: Runtime) -> None:
    """`CEPO_CEREBRAS_RPM` below what the API would allow: a burst of it, then one after the other."""
    api = simulate(time_scale=SCALE)
    ask(runtime, api, rpm=10, bestofn_n=1, planning_n=3, planning_m=3)
    ask(runtime, api, rpm=10, bestofn_n=1, planning_n=3, planning_m=3)
    started = sorted(call.started for call in api.chat_calls)
    assert len(started) == 16
    # 6 more than the bucket holds flow in at 10 a minute, a second here.
    assert started[-1] - started[0] >= 0.9 * 6 / 10


@pytest.mark.parametrize("known", [False, True], ids=["cold", "known"])
@pytest.mark.parametrize("seconds", [10, 40])
def test_a_short_deadline_under_a_small_limit_is_answered_all_the_same(
    simulate: Simulate, known: bool, seconds: float
) -> None:
    """27 calls are asked for, 6 to 8 are possible, or one: what they bear is the answer."""
    slower = SCALE / 12
    api = simulate(limits=RateLimits(requests_per_minute=5), time_scale=slower, rules=(Rule(latency=1.0),))
    runtime = Runtime(slower)
    for _ in range(4 if known else 0):
        ask(runtime, api, effort="none")
    solved = ask(runtime, api, deadline=seconds / slower)
    runtime.reset()
    assert "42" in solved.outcome.answer
    assert solved.degraded
    assert statuses(api).keys() <= {200, CLIENT_GONE}
