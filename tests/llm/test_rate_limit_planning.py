"""How many calls the known limits allow within a time."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from optillm_cerebras_cepo.core.chat import ChatRequest, Label, Message, Step
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import Ended
from optillm_cerebras_cepo.core.events import ignore
from optillm_cerebras_cepo.llm.rate_limits.limiter import LocalLimitStore, RateLimiter
from optillm_cerebras_cepo.llm.rate_limits.limits import Cost, Limits, initial_limits
from optillm_cerebras_cepo.llm.rate_limits.windows import admit, calls_within


def charged(limits: Limits, calls: int, now: float) -> Limits:
    """The limits after so many calls have gone out."""
    for _ in range(calls):
        limits, _ = admit(limits, Cost(1, 100), now)
    return limits


def test_calls_are_unlimited_without_request_limits() -> None:
    """A token limit says nothing about the number of calls."""
    assert calls_within(initial_limits({}, 0.0), 60, 0.0) == math.inf
    assert calls_within(initial_limits({"tokens-minute": 1000}, 0.0), 60, 0.0) == math.inf


@pytest.mark.parametrize(("seconds", "calls"), [(0, 2), (12, 3), (60, 7), (600, 52)])
def test_level_and_refill_count(seconds: float, calls: float) -> None:
    """Five a minute, of which three have gone out."""
    limits = charged(initial_limits({"requests-minute": 5}, 0.0), 3, 0.0)
    assert calls_within(limits, seconds, 0.0) == pytest.approx(calls)


def test_tightest_window_counts() -> None:
    """A limit of ten a day applies beside 300 a minute."""
    limits = initial_limits({"requests-minute": 300, "requests-day": 10}, 0.0)
    assert calls_within(limits, 600, 0.0) == pytest.approx(10 + 600 * 10 / 86_400)


def test_waiting_calls_are_subtracted() -> None:
    """Two calls are possible in two minutes, and one of them is for the call that waits."""
    limiter, deadline = (
        RateLimiter(LocalLimitStore(lambda now: initial_limits({"requests-minute": 1}, now), lambda: 0.0), 4),
        Deadline(600),
    )
    request = ChatRequest("m", (Message("user", "q"),), 10, Label(Step.PLAN, 1), deadline=deadline)
    limiter.acquire((0,), Cost(1, 1), request, ignore)
    assert limiter.calls_within(120) == pytest.approx(2)
    with ThreadPoolExecutor(1) as threads:
        waits = threads.submit(limiter.acquire, (0,), Cost(1, 1), request, ignore)
        while not limiter.waiting:
            time.sleep(0.001)
        assert limiter.calls_within(120) == pytest.approx(1)
        deadline.end(Ended("over"))
        assert isinstance(waits.exception(10), Ended)
