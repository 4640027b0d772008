"""Limits in parts, and whole again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optillm_cerebras_cepo.llm.bucket import Bucket
from optillm_cerebras_cepo.llm.limits import Cost, Limits, Ticket, Wait, admit, answered, limited
from optillm_cerebras_cepo.llm.shares import joined, part, under, whole
from optillm_cerebras_cepo.quota import Allowance

LEARNT = Limits(
    buckets={"requests-minute": Bucket(300, 60, capacity=90, level=30, at=100)},
    own={"tokens-minute": Bucket(9_000, 60, capacity=9_000, level=600, at=100)},
    trial=None,
)


def test_a_part_has_its_share_of_everything() -> None:
    """Of what flows in, of what may go out at once, and of what is left; of the operator's limits too."""
    third = part(LEARNT, 3)
    assert third.buckets["requests-minute"] == Bucket(100, 60, capacity=30, level=10, at=100)
    assert third.own["tokens-minute"] == Bucket(3_000, 60, capacity=3_000, level=200, at=100)
    assert third.share == 1 / 3


@pytest.mark.parametrize("processes", range(1, 50))
def test_the_parts_are_the_whole(processes: int) -> None:
    """The limits to the last digit, or the API's own would look like another limit than the one that is known."""
    again = whole(part(LEARNT, processes))
    assert again.share == 1
    for had, has in ((LEARNT.buckets, again.buckets), (LEARNT.own, again.own)):
        for window in had:
            assert has[window].limit == had[window].limit
            assert has[window].level == pytest.approx(had[window].level)
            assert has[window].capacity == pytest.approx(had[window].capacity)


def test_a_header_of_the_same_limit_changes_nothing_of_a_part() -> None:
    """It speaks of the whole."""
    limits, ticket = admit(part(LEARNT, 7), Cost(1, 10), 100.0)
    assert isinstance(ticket, Ticket)
    after = answered(limits, ticket, {"requests-minute": Allowance(300, 80)}, 100.0)
    assert after.buckets["requests-minute"].capacity == limits.buckets["requests-minute"].capacity
    assert after.buckets["requests-minute"].level == limits.buckets["requests-minute"].level


def test_less_than_one_request_of_a_limit_is_still_a_pace() -> None:
    """Of 5 requests a minute each of ten processes makes one in two minutes."""
    limits = part(limited({"requests-minute": 5}, 0.0), 10)
    made, now = 0, 0.0
    while now < 3_600:
        limits, answer = admit(limits, Cost(1, 10), now)
        if isinstance(answer, Wait):
            now += answer.seconds + 1e-9
        else:
            made += 1
    assert made == pytest.approx(30, abs=1)


def test_before_anything_is_known_each_part_may_make_a_call() -> None:
    """The replies that would allow another may be those of another process."""
    assert part(Limits(trial=4), 2).trial == 2
    assert part(Limits(trial=0), 2).trial == 1
    assert part(Limits(trial=4), 8).trial == 1


def test_two_accounts_of_the_same_limits_leave_what_both_have_left() -> None:
    """At one time, and with the windows that either has seen."""
    other = replace(
        LEARNT,
        buckets={
            "requests-minute": Bucket(300, 60, capacity=90, level=5, at=102),
            "tokens-day": Bucket(1e6, 86_400, capacity=1e6, level=7, at=102),
        },
        own={"tokens-minute": Bucket(9_000, 60, capacity=9_000, level=8_000, at=102)},
    )
    both = joined(LEARNT, other, now=102)
    assert both.buckets["requests-minute"].level == 5  # not 30 and two seconds' worth
    assert both.own["tokens-minute"].level == 900  # not 8,000
    assert both.buckets["tokens-day"].level == 7
    assert joined(Limits(trial=0), LEARNT, 102).trial is None


def test_the_operators_limits_are_those_of_today() -> None:
    """What was kept under yesterday's counts, and goes no further."""
    raised = under(LEARNT, limited({"tokens-minute": 20_000}, 101.0))
    assert raised.own["tokens-minute"] == Bucket(20_000, 60, capacity=20_000, level=600, at=100)
    lowered = under(LEARNT, limited({"tokens-minute": 500}, 101.0))
    assert lowered.own["tokens-minute"].level == 500
    assert under(LEARNT, Limits()).own == {}
    known = limited({"requests-minute": 5}, 101.0)
    assert under(Limits(trial=0), known).own == known.own
    assert under(Limits(trial=0), known).trial is None
