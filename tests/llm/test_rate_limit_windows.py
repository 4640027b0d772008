"""The mirror of the API's limits: the effect of each reply, refusal and header. Pure."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.rate_limit_headers import Allowance
from optillm_cerebras_cepo.llm.rate_limits import windows
from optillm_cerebras_cepo.llm.rate_limits.limits import (
    INITIAL_WINDOW,
    MARGIN,
    Bucket,
    Cost,
    Limits,
    Permit,
    Wait,
    initial_limits,
)

REQUESTS = "requests-minute"


def test_headers_show_other_users_of_the_key() -> None:
    """What remains is what the API says, not what we have used."""
    known, ticket = windows.admit(Limits(), Cost(1, 10), 0.0)
    assert isinstance(ticket, Permit)
    known = windows.record_reply(known, ticket, {REQUESTS: Allowance(100, 0)}, 1.0)
    _, wait = windows.admit(known, Cost(1, 10), 1.0)
    assert isinstance(wait, Wait)
    assert wait.window == REQUESTS
    assert wait.seconds > 0


def test_late_header_does_not_raise_the_level() -> None:
    """It was written before the calls that went out since, and these still count."""
    known, first = windows.admit(Limits(), Cost(1, 0), 0.0)
    assert isinstance(first, Permit)
    others = []
    for _ in range(3):
        known, ticket = windows.admit(known, Cost(1, 0), 0.1)
        assert isinstance(ticket, Permit)
        others.append(ticket)
    for ticket in others:
        known = windows.record_reply(known, ticket, {REQUESTS: Allowance(5, 1)}, 0.2)
    known = windows.record_reply(known, first, {REQUESTS: Allowance(5, 4)}, 0.3)  # written when it was the only one
    assert known.buckets[REQUESTS].level < 2


def test_initial_window_before_limits_are_known() -> None:
    """Then two calls for each reply without limits, and as many as the limit allows once it is known."""
    known, tickets = Limits(), list[Permit]()
    for _ in range(INITIAL_WINDOW):
        known, ticket = windows.admit(known, Cost(), 0.0)
        assert isinstance(ticket, Permit)
        tickets.append(ticket)
    assert windows.admit(known, Cost(), 0.0)[1] == Wait(math.inf)
    silent = windows.record_reply(known, tickets[0], {}, 1.0)
    for _ in range(2):
        silent, ticket = windows.admit(silent, Cost(), 1.0)
        assert isinstance(ticket, Permit)
    assert windows.admit(silent, Cost(), 1.0)[1] == Wait(math.inf)
    told = windows.record_reply(known, tickets[0], {REQUESTS: Allowance(1_000, 996)}, 1.0)
    for _ in range(500):
        told, ticket = windows.admit(told, Cost(), 1.0)
        assert isinstance(ticket, Permit)


def test_failed_call_restores_the_initial_window() -> None:
    """Otherwise an API that is down would block all calls for good."""
    known = Limits()
    for _ in range(3 * INITIAL_WINDOW):
        known, ticket = windows.admit(known, Cost(), 0.0)
        assert isinstance(ticket, Permit)
        known = windows.record_failure(known)


def test_operator_limit_applies_beside_the_apis() -> None:
    """Headers that allow more do not raise it."""
    known = initial_limits({REQUESTS: 2.0}, 0.0)
    for now in (0.0, 0.1):
        known, ticket = windows.admit(known, Cost(), now)
        assert isinstance(ticket, Permit)
        known = windows.record_reply(known, ticket, {REQUESTS: Allowance(1_000, 900)}, now)
    _, wait = windows.admit(known, Cost(), 0.1)
    assert isinstance(wait, Wait)
    assert (wait.window, wait.limit) == (REQUESTS, 2.0)
    assert 29 < wait.seconds < 31


def test_call_above_the_capacity_waits_for_a_full_bucket() -> None:
    """Otherwise it could never go out; the API decides."""
    known = initial_limits({"tokens-minute": 1_000.0}, 0.0)
    known, ticket = windows.admit(known, Cost(1, 5_000), 0.0)
    assert isinstance(ticket, Permit)
    _, wait = windows.admit(known, Cost(1, 5_000), 0.0)
    assert isinstance(wait, Wait)
    assert wait.seconds == 5 * 60


def test_windows_are_shorter_in_compressed_time() -> None:
    """All by the same factor."""
    known = initial_limits({REQUESTS: 60.0}, 0.0, minute=6.0)
    assert known.operator_limits[REQUESTS].rate == 10
    assert known.window_seconds("tokens-day") == 8_640


@given(st.floats(0, 2e9), st.floats(1, 1e5), st.floats(0, 1e5))
def test_stated_wait_is_sufficient(now: float, limit: float, tokens: float) -> None:
    """A call that tries again after exactly this time is admitted, by any clock, that of Redis included."""
    known = initial_limits({"tokens-minute": limit, REQUESTS: 3.0}, now)
    for _ in range(5):
        known, answer = windows.admit(known, Cost(1, tokens), now)
        if isinstance(answer, Wait):
            known, answer = windows.admit(known, Cost(1, tokens), now + answer.seconds)
            assert isinstance(answer, Permit)
            now = answer.at


def test_share_of_the_limits_is_kept() -> None:
    """Headers state the whole; the rest is for other processes."""
    known = replace(Limits(), share=0.25)
    known, ticket = windows.admit(known, Cost(), 0.0)
    assert isinstance(ticket, Permit)
    known = windows.record_reply(known, ticket, {REQUESTS: Allowance(100, 99)}, 0.0)
    assert known.buckets[REQUESTS].limit == 25
    assert known.buckets[REQUESTS].capacity <= 25


def test_level_is_known_when_no_call_is_in_flight() -> None:
    """With four in flight, some headers may not include all charges; the last one does."""
    known, tickets = Limits(), list[Permit]()
    for _ in range(4):
        known, ticket = windows.admit(known, Cost(), 0.0)
        assert isinstance(ticket, Permit)
        tickets.append(ticket)
    for ticket in tickets:
        assert REQUESTS not in known.buckets or known.buckets[REQUESTS].level < 0
        known = windows.record_reply(known, ticket, {REQUESTS: Allowance(5, 1)}, 1.0)
    assert known.buckets[REQUESTS].level == 1


@pytest.mark.parametrize("window", ["tokens-day", "requests-day", "tokens-hour"])
def test_long_limits_are_not_guessed(window: str) -> None:
    """One refusal of a day's limit would otherwise block all calls for a day, on a guess."""
    known, ticket = windows.admit(Limits(), Cost(1, 2_000), 0.0)
    assert isinstance(ticket, Permit)
    known = windows.record_refusal(known, ticket, window, {}, 1.0)
    assert isinstance(windows.admit(known, Cost(1, 2_000), 2.0)[1], Permit)
    told = windows.record_refusal(known, ticket, window, {window: Allowance(2_400, 0)}, 1.0)
    wait = windows.admit(told, Cost(1, 2_000), 2.0)[1]
    assert isinstance(wait, Wait)
    assert wait.window == window


def test_lower_header_lowers_the_level() -> None:
    """Also when the limit has long been known."""
    known = Limits()
    for remaining in (99, 0):
        known, ticket = windows.admit(known, Cost(), 10.0)
        assert isinstance(ticket, Permit)
        known = windows.record_reply(known, ticket, {REQUESTS: Allowance(100, remaining)}, 10.0)
    assert isinstance(windows.admit(known, Cost(), 10.0)[1], Wait)


def test_refused_call_is_charged_to_no_window() -> None:
    """Its cost is returned to the other windows."""
    quota = {REQUESTS: Allowance(30, 29), "tokens-minute": Allowance(10_000, 9_000)}
    known, ticket = windows.admit(Limits(), Cost(1, 1_000), 0.0)
    assert isinstance(ticket, Permit)
    known = windows.record_reply(known, ticket, quota, 0.0)
    before = known.buckets["tokens-minute"].level
    known, ticket = windows.admit(known, Cost(1, 5_000), 0.0)
    assert isinstance(ticket, Permit)
    known = windows.record_refusal(known, ticket, REQUESTS, {REQUESTS: Allowance(30, 0)}, 0.0)
    assert known.buckets["tokens-minute"].level == before
    assert known.buckets[REQUESTS].level == 0


def test_guess_rises_after_a_minute_without_a_refusal() -> None:
    """And falls after one with a refusal."""
    known, ticket = windows.admit(Limits(), Cost(), 0.0)
    assert isinstance(ticket, Permit)
    known = windows.record_refusal(known, ticket, REQUESTS, {}, 1.0)
    first = known.buckets[REQUESTS].limit
    known, _ = windows.admit(known, Cost(), 200.0)
    assert known.buckets[REQUESTS].limit > first
    again = windows.record_refusal(known, replace(ticket, at=300.0), REQUESTS, {}, 300.0)
    assert again.buckets[REQUESTS].limit <= known.buckets[REQUESTS].limit


def test_calls_go_out_with_a_margin() -> None:
    """One call may reach the API faster than another."""
    empty = Bucket(limit=60.0, seconds=60.0, capacity=60.0, level=0.0, at=0.0)
    assert empty.wait(1.0, 0.0) == 1.0 + MARGIN
    assert MARGIN > 0


def test_an_api_cannot_fill_the_memory_with_windows() -> None:
    """However many names its headers have; those that came first are kept up to date."""
    known, tickets = Limits(initial_window=None), []
    for _ in range(100):
        known, ticket = windows.admit(known, Cost(1, 10), 0.0)
        assert isinstance(ticket, Permit)
        tickets.append(ticket)
    for number, ticket in enumerate(tickets):
        quota = {REQUESTS: Allowance(1000, 900), f"{'x' * number}-tokens-minute": Allowance(1e9, 1e9)}
        known = windows.record_reply(known, ticket, quota, 1.0)
        assert len(known.lowest_remaining) <= windows.MOST_WINDOWS
    assert len(known.buckets) == windows.MOST_WINDOWS
    assert REQUESTS in known.buckets
