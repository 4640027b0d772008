"""Each fault alone, at each step of a plan: the request's result and number of calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from faults.asking import CALLS, ONE, SPARE, TEXT, ask, ask_in_stalled_time, at, check_usage, settle
from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.simulator import CLIENT_GONE, FREE_TIER, Fault, Rule, Simulator

Simulate = Callable[..., Simulator]

SLOW = ("hang", "trickle")
LIMITED = ("request_quota", "token_quota", "queue_exceeded")
RETRIED = (
    *LIMITED,
    "500",
    "502",
    "503",
    "close",
    "reset",
    "cut",
    "reset_body",
    "wrong_length",
    "short_length",
    "invalid_json",
    "html",
    "empty_content",
    "null_content",
    "no_choices",
    "null_choices",
    *SLOW,
)
HARMLESS = ("no_usage", "duplicate_headers", "no_tool_index", "one_tool_index")
CUT = ("length", "content_filter")
DAILY_LIMITS = ("request_quota_day", "token_quota_day")


def test_every_fault_is_tested() -> None:
    """Each fault is in one of the groups above."""
    assert sorted((*RETRIED, *HARMLESS, *CUT, *DAILY_LIMITS)) == sorted(get_args(Fault))


@pytest.mark.parametrize("place", range(1, CALLS + 1))
@pytest.mark.parametrize("fault", RETRIED)
def test_call_is_retried(simulate: Simulate, fault: Fault, place: int) -> None:
    """One more call, nothing omitted, and the model's answer, whichever step has the fault."""
    api = simulate(rules=at(place, fault))
    run = ask_in_stalled_time(api, **ONE)
    assert run.result.outcome.answer == TEXT
    assert run.result.degraded == ()
    assert len(api.chat_calls) == CALLS + 1
    check_usage(run, api)


@pytest.mark.parametrize("fault", HARMLESS)
def test_harmless_fault(simulate: Simulate, fault: Fault) -> None:
    """No further call, and nothing omitted, also with duplicate rate-limit headers."""
    api = simulate(rules=(Rule(text=TEXT, fault=fault),), limits=FREE_TIER)
    run = ask(api.url, **ONE)
    assert run.result.outcome.answer == TEXT
    assert run.result.degraded == ()
    assert len(api.chat_calls) == CALLS


def test_replies_without_usage_are_counted(simulate: Simulate) -> None:
    """As calls with unknown tokens."""
    api = simulate(rules=at(2, "no_usage"))
    assert ask(api.url, **ONE).result.ledger.total.uncounted == 1


@pytest.mark.parametrize("fault", CUT)
@pytest.mark.parametrize(
    ("place", "calls", "omitted"),
    [
        (1, CALLS + 1, "plan"),  # another plan
        (2, CALLS + 2, "execute"),  # another plan, and its execution
        (3, CALLS, "review"),  # the first solution is used instead
        (4, CALLS, "final"),  # the review is used instead
    ],
)
def test_reply_cut_by_the_api_is_omitted(
    simulate: Simulate, fault: Fault, place: int, calls: int, omitted: str
) -> None:
    """It is not requested again: an earlier or parallel reply is used, and `degraded` mentions it."""
    api = simulate(rules=at(place, fault))
    run = ask(api.url, **SPARE)
    assert run.result.outcome.answer == TEXT
    assert len(run.result.degraded) == 1
    assert run.result.degraded[0].startswith(f"candidate 1 {omitted} left out: the reply was cut")
    assert len(api.chat_calls) == calls
    check_usage(run, api)


@pytest.mark.parametrize("place", range(1, CALLS + 1))
@pytest.mark.parametrize("fault", DAILY_LIMITS)
def test_daily_limit_ends_all_calls(simulate: Simulate, fault: Fault, place: int) -> None:
    """No further call; an existing solution is the answer, otherwise the request fails with 429."""
    api = simulate(rules=at(place, fault))
    run = ask(api.url, **SPARE)
    if place <= 2:  # a plan, or its execution
        assert isinstance(run.error, errors.QuotaExhausted)
        assert run.error.status == 429
    else:
        assert run.result.outcome.answer == TEXT
        assert all("the day's limit" in line for line in run.result.degraded)
    assert len(api.chat_calls) == place


@pytest.mark.parametrize("fault", DAILY_LIMITS)
def test_daily_limit_ends_parallel_calls(simulate: Simulate, fault: Fault) -> None:
    """With three candidates of three plans, running calls end, and no call starts."""
    api = simulate(rules=(Rule(text=TEXT, fault=fault, times=1), Rule(fault="hang")))
    run = ask(api.url)
    assert isinstance(run.error, errors.QuotaExhausted)
    settle(api)
    assert len(api.chat_calls) <= 9
    assert {call.status for call in api.chat_calls} <= {429, CLIENT_GONE}


@pytest.mark.parametrize("place", range(1, CALLS + 1))
@pytest.mark.parametrize("fault", ["500", "close", "reset_body", "empty_content", "invalid_json"])
def test_step_that_always_fails_is_omitted(simulate: Simulate, fault: Fault, place: int) -> None:
    """Another attempt, the first solution or the review is used instead; the answer is complete."""
    api = simulate(rules=at(place, fault, times=2))
    run = ask(api.url, call_attempts=2, **SPARE)
    assert run.result.outcome.answer == TEXT
    assert len(run.result.degraded) == 1
    assert len(api.chat_calls) == {1: CALLS + 2, 2: CALLS + 3}.get(place, CALLS + 1)
    check_usage(run, api)


@pytest.mark.parametrize(
    ("fault", "kind", "status"),
    [
        ("500", errors.ApiUnavailable, 503),
        ("502", errors.ApiUnavailable, 503),
        ("503", errors.ApiUnavailable, 503),
        ("close", errors.ApiUnreachable, 502),
        ("reset", errors.ApiUnreachable, 502),
        ("cut", errors.ApiUnreachable, 502),
        ("reset_body", errors.ApiUnreachable, 502),
        ("wrong_length", errors.ApiUnreachable, 502),
        ("short_length", errors.ApiUnreachable, 502),
        ("invalid_json", errors.UnusableReply, 502),
        ("html", errors.UnusableReply, 502),
        ("empty_content", errors.UnusableReply, 502),
        ("null_content", errors.UnusableReply, 502),
        ("no_choices", errors.UnusableReply, 502),
        ("null_choices", errors.UnusableReply, 502),
        ("hang", errors.ApiTimeout, 504),
        ("trickle", errors.ApiTimeout, 504),
        ("length", errors.UnusableReply, 502),
        ("content_filter", errors.UnusableReply, 502),
    ],
)
def test_permanent_fault(simulate: Simulate, fault: Fault, kind: type[errors.CepoError], status: int) -> None:
    """A plan and then a direct answer, each with all attempts; then the fault's own error and status.

    After an outage the direct answer is tried once.
    """
    api = simulate(rules=(Rule(text=TEXT, fault=fault),))
    run = ask_in_stalled_time(api, call_attempts=2, **ONE)
    assert isinstance(run.error, kind)
    assert run.error.status == status
    settle(api)
    assert len(api.chat_calls) == (2 if fault in CUT else 4 if kind is errors.UnusableReply else 3)


@pytest.mark.parametrize("fault", LIMITED)
def test_permanent_limit(simulate: Simulate, fault: Fault) -> None:
    """The request waits until its deadline, and then fails."""
    api = simulate(rules=(Rule(text=TEXT, fault=fault),))
    run = ask(api.url, deadline=0.3, **ONE)
    assert run.error is not None
    assert run.error.status in (429, 504)
    settle(api)
    assert {call.status for call in api.chat_calls} <= {429, CLIENT_GONE}
