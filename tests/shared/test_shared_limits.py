"""Limits divided among processes, and merged again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optillm_cerebras_cepo.core.rate_limit_headers import Allowance
from optillm_cerebras_cepo.llm.rate_limits.limits import (
    Bucket,
    Cost,
    Limits,
    Permit,
    Wait,
    divide,
    initial_limits,
    merge,
    undivide,
    with_operator_limits,
)
from optillm_cerebras_cepo.llm.rate_limits.windows import admit, record_reply

LEARNT = Limits(
    buckets={"requests-minute": Bucket(300, 60, capacity=90, level=30, at=100)},
    operator_limits={"tokens-minute": Bucket(9_000, 60, capacity=9_000, level=600, at=100)},
    initial_window=None,
)


def test_share_applies_to_all_numbers() -> None:
    """Rate, capacity and level, also of the operator's limits."""
    third = divide(LEARNT, 3)
    assert third.buckets["requests-minute"] == Bucket(100, 60, capacity=30, level=10, at=100)
    assert third.operator_limits["tokens-minute"] == Bucket(3_000, 60, capacity=3_000, level=200, at=100)
    assert third.share == 1 / 3


@pytest.mark.parametrize("processes", range(1, 50))
def test_undivide_restores_the_limits(processes: int) -> None:
    """To the last digit: otherwise the API's limit would look like a new one."""
    again = undivide(divide(LEARNT, processes))
    assert again.share == 1
    for had, has in ((LEARNT.buckets, again.buckets), (LEARNT.operator_limits, again.operator_limits)):
        for window in had:
            assert has[window].limit == had[window].limit
            assert has[window].level == pytest.approx(had[window].level)
            assert has[window].capacity == pytest.approx(had[window].capacity)


def test_header_of_the_same_limit_does_not_change_a_share() -> None:
    """It states the whole."""
    limits, ticket = admit(divide(LEARNT, 7), Cost(1, 10), 100.0)
    assert isinstance(ticket, Permit)
    after = record_reply(limits, ticket, {"requests-minute": Allowance(300, 80)}, 100.0)
    assert after.buckets["requests-minute"].capacity == limits.buckets["requests-minute"].capacity
    assert after.buckets["requests-minute"].level == limits.buckets["requests-minute"].level


def test_share_below_one_request_still_allows_calls() -> None:
    """Of 5 requests a minute, each of ten processes makes one in two minutes."""
    limits = divide(initial_limits({"requests-minute": 5}, 0.0), 10)
    made, now = 0, 0.0
    while now < 3_600:
        limits, answer = admit(limits, Cost(1, 10), now)
        if isinstance(answer, Wait):
            now += answer.seconds + 1e-9
        else:
            made += 1
    assert made == pytest.approx(30, abs=1)


def test_each_share_allows_an_initial_call() -> None:
    """The replies that would allow another call may go to another process."""
    assert divide(Limits(initial_window=4), 2).initial_window == 2
    assert divide(Limits(initial_window=0), 2).initial_window == 1
    assert divide(Limits(initial_window=4), 8).initial_window == 1


def test_merge_takes_the_lower_levels() -> None:
    """At one time, and with the windows of both."""
    other = replace(
        LEARNT,
        buckets={
            "requests-minute": Bucket(300, 60, capacity=90, level=5, at=102),
            "tokens-day": Bucket(1e6, 86_400, capacity=1e6, level=7, at=102),
        },
        operator_limits={"tokens-minute": Bucket(9_000, 60, capacity=9_000, level=8_000, at=102)},
    )
    both = merge(LEARNT, other, now=102)
    assert both.buckets["requests-minute"].level == 5  # not 30 and two seconds' worth
    assert both.operator_limits["tokens-minute"].level == 900  # not 8,000
    assert both.buckets["tokens-day"].level == 7
    assert merge(Limits(initial_window=0), LEARNT, 102).initial_window is None


def test_configured_operator_limits_replace_stored_ones() -> None:
    """What was charged before still counts."""
    raised = with_operator_limits(LEARNT, initial_limits({"tokens-minute": 20_000}, 101.0))
    assert raised.operator_limits["tokens-minute"] == Bucket(20_000, 60, capacity=20_000, level=600, at=100)
    lowered = with_operator_limits(LEARNT, initial_limits({"tokens-minute": 500}, 101.0))
    assert lowered.operator_limits["tokens-minute"].level == 500
    assert with_operator_limits(LEARNT, Limits()).operator_limits == {}
    known = initial_limits({"requests-minute": 5}, 101.0)
    assert with_operator_limits(Limits(initial_window=0), known).operator_limits == known.operator_limits
    assert with_operator_limits(Limits(initial_window=0), known).initial_window is None
