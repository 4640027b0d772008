"""The mirror of the API's limits: what each reply, refusal and header does to it; pure."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.llm import limits
from optillm_cerebras_cepo.llm.bucket import MARGIN, Bucket
from optillm_cerebras_cepo.llm.limits import TRIAL, Cost, Limits, Ticket, Wait
from optillm_cerebras_cepo.quota import Allowance

REQUESTS = "requests-minute"


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
    assert isinstance(first, Ticket)
    others = []
    for _ in range(3):
        known, ticket = limits.admit(known, Cost(1, 0), 0.1)
        assert isinstance(ticket, Ticket)
        others.append(ticket)
    for ticket in others:
        known = limits.answered(known, ticket, {REQUESTS: Allowance(5, 1)}, 0.2)
    known = limits.answered(known, first, {REQUESTS: Allowance(5, 4)}, 0.3)  # written when it was the only one
    assert known.buckets[REQUESTS].level < 2


def test_only_a_few_calls_go_out_before_anything_is_known() -> None:
    """Then two for each reply that says nothing of limits, and all that the limit has room for once it is known."""
    known, tickets = Limits(), list[Ticket]()
    for _ in range(TRIAL):
        known, ticket = limits.admit(known, Cost(), 0.0)
        assert isinstance(ticket, Ticket)
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


@given(st.floats(0, 2e9), st.floats(1, 1e5), st.floats(0, 1e5))
def test_waiting_as_long_as_told_is_enough(now: float, limit: float, tokens: float) -> None:
    """A call that comes back after just the seconds that it was told is let out, by any clock: Redis' too."""
    known = limits.limited({"tokens-minute": limit, REQUESTS: 3.0}, now)
    for _ in range(5):
        known, answer = limits.admit(known, Cost(1, tokens), now)
        if isinstance(answer, Wait):
            known, answer = limits.admit(known, Cost(1, tokens), now + answer.seconds)
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
