"""The mirror of the API's limits over minutes of virtual time, against the limiter of the simulated API."""

from __future__ import annotations

import math
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.rate_limit_headers import quota_of, refused_window
from optillm_cerebras_cepo.llm.rate_limits import windows
from optillm_cerebras_cepo.llm.rate_limits.limits import Cost, Limits, Wait
from optillm_cerebras_cepo.simulator.limits import Limiter, RateLimits
from optillm_cerebras_cepo.simulator.problems import Refused

REQUESTS = "requests-minute"
TOKENS = 4_200.0  # of a call


@dataclass(frozen=True)
class Run:
    """What came of sending as much as the mirror lets out: calls that were answered and refused, and the mirror."""

    answered: int
    refused: int
    known: Limits


def send(
    api: RateLimits,
    seconds: float,
    *,
    latency: float = 1.0,
    seed: int = 1,
    headers: bool = True,
    idle: tuple[float, float] = (0.0, 0.0),
    dearer: float = 1.0,
    cached: float = 0.0,
    known: Limits | None = None,
) -> Run:
    """Send calls as fast as the mirror lets them out, 64 at once at most, for so many made-up seconds.

    Each travels up to 20 ms to the API, and its reply takes half to one and a half of `latency`. `idle` is a time in
    which nothing is sent, `dearer` how many times what is reckoned the API charges, `cached` the share of a call's
    tokens that the API's cache has.
    """
    random, number, now, out = Random(seed), count(), 0.0, 0
    limiter = Limiter(api, lambda: now)
    known = known or Limits()
    answered = refused = 0
    events: list[tuple[float, int, str, Any]] = [(0.0, next(number), "try", None)]
    pending = 0.0

    def seen() -> Any:
        return quota_of(limiter.headers("m")) if headers else {}

    while events:
        now, _, what, data = heappop(events)
        if now > seconds:
            break
        if what == "arrives":
            try:
                tokens = int(data.cost.tokens / max(1.0, known.cost_multiplier) * dearer)
                limiter.admit("m", tokens, int(tokens * cached))
                later = now + latency * random.uniform(0.5, 1.5)
                heappush(events, (later, next(number), "answered", data))
            except Refused as refusal:
                window = refused_window(refusal.reply.body["message"])
                heappush(events, (now + random.uniform(0, 0.02), next(number), "refused", (data, window)))
            continue
        if what == "answered":
            known, out, answered = windows.record_reply(known, data, seen(), now), out - 1, answered + 1
        if what == "refused":
            ticket, window = data
            known, out, refused = windows.record_refusal(known, ticket, window, seen(), now), out - 1, refused + 1
        if idle[0] <= now < idle[1]:
            heappush(events, (idle[1], next(number), "try", None))
            continue
        while out < 64:
            known, answer = windows.admit(known, Cost(1, TOKENS), now)
            if isinstance(answer, Wait):
                again = now + answer.seconds + 1e-7
                if answer.seconds < math.inf and not now < pending <= again + 1e-6:
                    pending = again
                    heappush(events, (again, next(number), "try", None))
                break
            out += 1
            heappush(events, (now + random.uniform(0, 0.02), next(number), "arrives", answer))
    return Run(answered, refused, known)


@pytest.mark.parametrize(
    ("api", "a_minute", "at_start"),
    [
        (RateLimits(requests_per_minute=5), 5, 5),
        (RateLimits(requests_per_minute=30), 30, 30),
        (RateLimits(requests_per_minute=300), 300, 300),
        (RateLimits(requests_per_minute=1_000), 1_000, 1_000),
        (RateLimits(requests_per_minute=300, burst=10), 300, 10),
        (RateLimits(tokens_per_minute=30_000), 30_000 / TOKENS, 30_000 / TOKENS),
        (RateLimits(tokens_per_minute=1_000_000), 1_000_000 / TOKENS, 1_000_000 / TOKENS),
        (RateLimits(requests_per_minute=5, tokens_per_minute=30_000, requests_per_hour=150), 5, 5),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)
@pytest.mark.parametrize("latency", [0.05, 1.0])
def test_limit_is_used_and_kept(api: RateLimits, a_minute: float, at_start: float, latency: float) -> None:
    """In ten minutes from a cold start: 95 % of what the limit allows, and no call is refused."""
    run = send(api, 600.0, latency=latency)
    assert run.answered >= 0.95 * (at_start + 10 * a_minute)
    assert run.refused == 0


@pytest.mark.parametrize("cached", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("latency", [0.05, 1.0])
def test_two_limits_of_tokens_are_used_and_kept(cached: float, latency: float) -> None:
    """One of all tokens and one of those that no cache has: whichever binds, in ten minutes from a cold start."""
    total, uncached = 300_000, 100_000
    run = send(
        RateLimits(tokens_per_minute=total, uncached_tokens_per_minute=uncached), 600.0, cached=cached, latency=latency
    )
    allowed = min(total / TOKENS, uncached / (TOKENS * (1 - cached)))
    assert run.answered >= 0.95 * 11 * allowed
    assert run.refused <= 0.02 * run.answered
    assert {window for window in run.known.buckets if "tokens" in window} == {"tokens-minute", "uncached-tokens-minute"}


def test_a_limit_that_only_refusals_name_is_learned() -> None:
    """Headers of the other limit stay what they are."""
    shown = RateLimits(tokens_per_minute=300_000, uncached_tokens_per_minute=100_000)
    run = send(shown, 600.0, headers=False)
    assert run.answered >= 0.9 * 11 * 100_000 / TOKENS
    assert run.refused <= 0.04 * run.answered
    assert run.known.buckets["uncached-tokens-minute"].guessed
    assert "tokens-minute" not in run.known.buckets


def test_burst_after_idle_time_is_limited() -> None:
    """At 300 a minute with a burst of 10, a minute without calls does not allow 300 at once."""
    run = send(RateLimits(requests_per_minute=300, burst=10), 600.0, idle=(200.0, 300.0))
    assert run.answered >= 0.95 * (10 + 500 / 60 * 300)
    assert run.refused <= 0.02 * run.answered


def test_limit_is_learned_from_refusals_without_headers() -> None:
    """With some loss: the guess grows once a minute."""
    run = send(RateLimits(requests_per_minute=30), 600.0, headers=False)
    assert run.answered >= 0.9 * 330
    assert run.refused <= 0.04 * run.answered
    assert run.known.buckets[REQUESTS].guessed


def test_cost_multiplier_follows_the_api() -> None:
    """An estimate that is 7 % too low costs some refusals, not one for each call."""
    run = send(RateLimits(tokens_per_minute=30_000), 600.0, dearer=1.07)
    assert run.refused <= 3
    assert 1.07 <= run.known.cost_multiplier <= 1.3


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([5, 30, 300]),
    st.sampled_from([None, 30_000, 200_000]),
    st.sampled_from([0.02, 0.5, 5.0]),
    st.integers(1, 1_000),
)
def test_few_calls_are_refused_under_any_limits(requests: int, tokens: int | None, latency: float, seed: int) -> None:
    """With headers, at most 2 %, or one of few calls."""
    api = RateLimits(requests_per_minute=requests, tokens_per_minute=tokens)
    run = send(api, 300.0, latency=latency, seed=seed)
    assert run.refused <= max(1, 0.02 * run.answered)
