"""The mirror of the API's limits: pure, and in made-up time against the simulated API's own limiter."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optillm_cerebras_cepo.llm import limits
from optillm_cerebras_cepo.llm.bucket import MARGIN, Bucket
from optillm_cerebras_cepo.llm.limits import TRIAL, Cost, Limits, Ticket, Wait
from optillm_cerebras_cepo.quota import Allowance, quota_of, refused_window
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
    known: Limits | None = None,
) -> Run:
    """Send calls as fast as the mirror lets them out, 64 at once at most, for so many made-up seconds.

    Each travels up to 20 ms to the API, and its reply takes half to one and a half of `latency`. `idle` is a time in
    which nothing is sent, `dearer` how many times what is reckoned the API charges.
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
                limiter.admit("m", int(data.cost.tokens / max(1.0, known.dearer) * dearer))
                later = now + latency * random.uniform(0.5, 1.5)
                heappush(events, (later, next(number), "answered", data))
            except Refused as refusal:
                window = refused_window(refusal.reply.body["message"])
                heappush(events, (now + random.uniform(0, 0.02), next(number), "refused", (data, window)))
            continue
        if what == "answered":
            known, out, answered = limits.answered(known, data, seen(), now), out - 1, answered + 1
        if what == "refused":
            ticket, window = data
            known, out, refused = limits.refused(known, ticket, window, seen(), now), out - 1, refused + 1
        if idle[0] <= now < idle[1]:
            heappush(events, (idle[1], next(number), "try", None))
            continue
        while out < 64:
            known, answer = limits.admit(known, Cost(1, TOKENS), now)
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
def test_the_limit_is_used_and_kept(api: RateLimits, a_minute: float, at_start: float, latency: float) -> None:
    """In ten minutes from a cold start: 95 % of what the limit allows, and no call refused."""
    run = send(api, 600.0, latency=latency)
    assert run.answered >= 0.95 * (at_start + 10 * a_minute)
    assert run.refused == 0


def test_a_burst_after_idling_is_no_larger_than_the_api_bears() -> None:
    """At 300 a minute with a burst of 10, a minute without calls does not make 300 possible at once."""
    run = send(RateLimits(requests_per_minute=300, burst=10), 600.0, idle=(200.0, 300.0))
    assert run.answered >= 0.95 * (10 + 500 / 60 * 300)
    assert run.refused <= 0.02 * run.answered


def test_without_headers_refusals_tell_the_limit() -> None:
    """More slowly: no more than what a minute's growth of the guess costs."""
    run = send(RateLimits(requests_per_minute=30), 600.0, headers=False)
    assert run.answered >= 0.9 * 330
    assert run.refused <= 0.04 * run.answered
    assert run.known.buckets[REQUESTS].guessed


def test_calls_that_are_dearer_than_reckoned_are_reckoned_dearer() -> None:
    """An estimate that is 7 % too low costs a refusal, not one for each call."""
    run = send(RateLimits(tokens_per_minute=30_000), 600.0, dearer=1.07)
    assert run.refused <= 3
    assert 1.07 <= run.known.dearer <= 1.3


def test_another_user_of_the_key_is_seen_in_the_headers() -> None:
    """What is left is what the API says, not what we have used."""
    known, ticket = limits.admit(Limits(), Cost(1, 10), 0.0)
    assert isinstance(ticket, Ticket)
    known = limits.answered(known, ticket, {REQUESTS: Allowance(100, 0)}, 1.0)
    _, wait = limits.admit(known, Cost(1, 10), 1.0)
    assert isinstance(wait, Wait)
    assert wait.window == REQUESTS
    assert wait.seconds > 0


def test_a_late_reply_opens_nothing() -> None:
    """Its header was written before the calls that went out since; those are not forgotten."""
    known, first = limits.admit(Limits(), Cost(1, 0), 0.0)
    others = []
    for _ in range(3):
        known, ticket = limits.admit(known, Cost(1, 0), 0.1)
        others.append(ticket)
    for ticket in others:
        known = limits.answered(known, ticket, {REQUESTS: Allowance(5, 1)}, 0.2)
    known = limits.answered(known, first, {REQUESTS: Allowance(5, 4)}, 0.3)  # written when it was the only one
    assert known.buckets[REQUESTS].level < 2


def test_only_a_few_calls_go_out_before_anything_is_known() -> None:
    """Then two for each reply that says nothing of limits, and all that the limit has room for once it is known."""
    known, tickets = Limits(), []
    for _ in range(TRIAL):
        known, ticket = limits.admit(known, Cost(), 0.0)
        tickets.append(ticket)
    assert limits.admit(known, Cost(), 0.0)[1] == Wait(math.inf)
    silent = limits.answered(known, tickets[0], {}, 1.0)
    for _ in range(2):
        silent, ticket = limits.admit(silent, Cost(), 1.0)
        assert isinstance(ticket, Ticket)
    assert limits.admit(silent, Cost(), 1.0)[1] == Wait(math.inf)
    told = limits.answered(known, tickets[0], {REQUESTS: Allowance(1_000, 996)}, 1.0)
    for _ in range(500):
        told, ticket = limits.admit(told, Cost(), 1.0)
        assert isinstance(ticket, Ticket)


def test_a_call_that_failed_gives_its_trial_back() -> None:
    """Or a dead API would close the gate for good."""
    known = Limits()
    for _ in range(3 * TRIAL):
        known, ticket = limits.admit(known, Cost(), 0.0)
        assert isinstance(ticket, Ticket)
        known = limits.failed(known)


def test_the_operators_own_limit_stands_beside_the_apis() -> None:
    """Headers that allow more do not raise it."""
    known = limits.limited({REQUESTS: 2.0}, 0.0)
    for now in (0.0, 0.1):
        known, ticket = limits.admit(known, Cost(), now)
        assert isinstance(ticket, Ticket)
        known = limits.answered(known, ticket, {REQUESTS: Allowance(1_000, 900)}, now)
    _, wait = limits.admit(known, Cost(), 0.1)
    assert isinstance(wait, Wait)
    assert (wait.window, wait.limit) == (REQUESTS, 2.0)
    assert 29 < wait.seconds < 31


def test_a_call_beyond_the_whole_bucket_waits_for_a_full_one() -> None:
    """It could never go out otherwise; the API decides."""
    known = limits.limited({"tokens-minute": 1_000.0}, 0.0)
    known, ticket = limits.admit(known, Cost(1, 5_000), 0.0)
    assert isinstance(ticket, Ticket)
    _, wait = limits.admit(known, Cost(1, 5_000), 0.0)
    assert isinstance(wait, Wait)
    assert wait.seconds == 5 * 60


def test_a_minute_is_shorter_in_compressed_time() -> None:
    """All windows are, by the same factor."""
    known = limits.limited({REQUESTS: 60.0}, 0.0, minute=6.0)
    assert known.own[REQUESTS].rate == 10
    assert known.seconds("tokens-day") == 8_640


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([5, 30, 300]),
    st.sampled_from([None, 30_000, 200_000]),
    st.sampled_from([0.02, 0.5, 5.0]),
    st.integers(1, 1_000),
)
def test_whatever_the_limits_hardly_a_call_is_refused(
    requests: int, tokens: int | None, latency: float, seed: int
) -> None:
    """With headers, two in a hundred at most; of few calls, one."""
    api = RateLimits(requests_per_minute=requests, tokens_per_minute=tokens)
    run = send(api, 300.0, latency=latency, seed=seed)
    assert run.refused <= max(1, 0.02 * run.answered)


@given(st.floats(0, 1e6), st.floats(1, 1e5), st.floats(0, 1e5))
def test_waiting_as_long_as_told_is_enough(now: float, limit: float, tokens: float) -> None:
    """A call that comes back after the seconds that it was told is let out."""
    known = limits.limited({"tokens-minute": limit, REQUESTS: 3.0}, now)
    for _ in range(5):
        known, answer = limits.admit(known, Cost(1, tokens), now)
        if isinstance(answer, Wait):
            known, answer = limits.admit(known, Cost(1, tokens), now + answer.seconds * (1 + 1e-9) + 1e-3)
            assert isinstance(answer, Ticket)
            now = answer.at


def test_a_share_of_the_limits_takes_no_more_than_it() -> None:
    """Headers speak of the whole; what others have left is theirs."""
    known = replace(Limits(), share=0.25)
    known, ticket = limits.admit(known, Cost(), 0.0)
    assert isinstance(ticket, Ticket)
    known = limits.answered(known, ticket, {REQUESTS: Allowance(100, 99)}, 0.0)
    assert known.buckets[REQUESTS].limit == 25
    assert known.buckets[REQUESTS].capacity <= 25


def test_when_no_call_is_out_what_is_left_is_known() -> None:
    """One of four may not have arrived when the headers of the others were written: with the last reply it has."""
    known, tickets = Limits(), list[Ticket]()
    for _ in range(4):
        known, ticket = limits.admit(known, Cost(), 0.0)
        assert isinstance(ticket, Ticket)
        tickets.append(ticket)
    for ticket in tickets:
        assert REQUESTS not in known.buckets or known.buckets[REQUESTS].level < 0
        known = limits.answered(known, ticket, {REQUESTS: Allowance(5, 1)}, 1.0)
    assert known.buckets[REQUESTS].level == 1


@pytest.mark.parametrize("window", ["tokens-day", "requests-day", "tokens-hour"])
def test_a_long_limit_that_no_header_tells_is_not_guessed(window: str) -> None:
    """One refusal of a day's limit would else close the gate for a day, on a number that nobody has said."""
    known, ticket = limits.admit(Limits(), Cost(1, 2_000), 0.0)
    assert isinstance(ticket, Ticket)
    known = limits.refused(known, ticket, window, {}, 1.0)
    assert isinstance(limits.admit(known, Cost(1, 2_000), 2.0)[1], Ticket)
    told = limits.refused(known, ticket, window, {window: Allowance(2_400, 0)}, 1.0)
    wait = limits.admit(told, Cost(1, 2_000), 2.0)[1]
    assert isinstance(wait, Wait)
    assert wait.window == window


def test_what_others_use_of_the_key_shows_later_too() -> None:
    """A header that says less than the mirror lowers it, also when the limit has long been known."""
    known = Limits()
    for remaining in (99, 0):
        known, ticket = limits.admit(known, Cost(), 10.0)
        assert isinstance(ticket, Ticket)
        known = limits.answered(known, ticket, {REQUESTS: Allowance(100, remaining)}, 10.0)
    assert isinstance(limits.admit(known, Cost(), 10.0)[1], Wait)


def test_a_refused_call_was_charged_to_no_window() -> None:
    """What it would have cost elsewhere is given back."""
    quota = {REQUESTS: Allowance(30, 29), "tokens-minute": Allowance(10_000, 9_000)}
    known, ticket = limits.admit(Limits(), Cost(1, 1_000), 0.0)
    assert isinstance(ticket, Ticket)
    known = limits.answered(known, ticket, quota, 0.0)
    before = known.buckets["tokens-minute"].level
    known, ticket = limits.admit(known, Cost(1, 5_000), 0.0)
    assert isinstance(ticket, Ticket)
    known = limits.refused(known, ticket, REQUESTS, {REQUESTS: Allowance(30, 0)}, 0.0)
    assert known.buckets["tokens-minute"].level == before
    assert known.buckets[REQUESTS].level == 0


def test_a_guess_is_tried_higher_after_a_minute_without_a_refusal() -> None:
    """And lower after one with: it goes to and fro about the limit."""
    known, ticket = limits.admit(Limits(), Cost(), 0.0)
    assert isinstance(ticket, Ticket)
    known = limits.refused(known, ticket, REQUESTS, {}, 1.0)
    first = known.buckets[REQUESTS].limit
    known, _ = limits.admit(known, Cost(), 200.0)
    assert known.buckets[REQUESTS].limit > first
    again = limits.refused(known, replace(ticket, at=300.0), REQUESTS, {}, 300.0)
    assert again.buckets[REQUESTS].limit <= known.buckets[REQUESTS].limit


def test_a_call_goes_out_a_little_later_than_the_mirror_would_let_it() -> None:
    """For one call may travel faster than another."""
    empty = Bucket(limit=60.0, seconds=60.0, capacity=60.0, level=0.0, at=0.0)
    assert empty.wait(1.0, 0.0) == 1.0 + MARGIN
    assert MARGIN > 0
