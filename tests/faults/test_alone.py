"""Each fault alone, at each step of a plan: what the request makes of it, call by call."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from faults.asking import CALLS, ONE, SPARE, TEXT, ask, ask_in_stalled_time, at, check_books, settle
from optillm_cerebras_cepo import errors
from optillm_cerebras_cepo.simulator import CLIENT_GONE, FREE_TIER, Fault, Rule, Simulator

Simulate = Callable[..., Simulator]

SLOW = ("hang", "trickle")
LIMITED = ("request_quota", "token_quota", "queue_exceeded")
TRIED_AGAIN = (
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
HOPELESS = ("request_quota_day", "token_quota_day")


def test_every_fault_is_told_apart() -> None:
    """What a fault comes to is said here for each that there is."""
    assert sorted((*TRIED_AGAIN, *HARMLESS, *CUT, *HOPELESS)) == sorted(get_args(Fault))


@pytest.mark.parametrize("place", range(1, CALLS + 1))
@pytest.mark.parametrize("fault", TRIED_AGAIN)
def test_call_is_made_again(simulate: Simulate, fault: Fault, place: int) -> None:
    """One call more, nothing left out, and the answer is the model's; whichever step meets it."""
    api = simulate(rules=at(place, fault))
    asked = ask_in_stalled_time(api, **ONE)
    assert asked.done.outcome.answer == TEXT
    assert asked.done.degraded == ()
    assert len(api.chat_calls) == CALLS + 1
    check_books(asked, api)


@pytest.mark.parametrize("fault", HARMLESS)
def test_fault_that_harms_nobody(simulate: Simulate, fault: Fault) -> None:
    """No call more, and nothing left out, though the limits' headers are what is doubled."""
    api = simulate(rules=(Rule(text=TEXT, fault=fault),), limits=FREE_TIER)
    asked = ask(api.url, **ONE)
    assert asked.done.outcome.answer == TEXT
    assert asked.done.degraded == ()
    assert len(api.chat_calls) == CALLS


def test_replies_without_usage_are_counted_as_such(simulate: Simulate) -> None:
    """Unknown is not zero."""
    api = simulate(rules=at(2, "no_usage"))
    assert ask(api.url, **ONE).done.ledger.total.uncounted == 1


@pytest.mark.parametrize("fault", CUT)
@pytest.mark.parametrize(
    ("place", "calls", "left_out"),
    [
        (1, CALLS + 1, "plan"),  # another plan
        (2, CALLS + 2, "execute"),  # another plan, and its execution
        (3, CALLS, "review"),  # the first solution stands for it
        (4, CALLS, "final"),  # the review stands for it
    ],
)
def test_reply_cut_by_the_api_is_left_out(
    simulate: Simulate, fault: Fault, place: int, calls: int, left_out: str
) -> None:
    """It would be cut again: what comes before or beside it answers, and `degraded` says so."""
    api = simulate(rules=at(place, fault))
    asked = ask(api.url, **SPARE)
    assert asked.done.outcome.answer == TEXT
    assert len(asked.done.degraded) == 1
    assert asked.done.degraded[0].startswith(f"candidate 1 {left_out} left out: the reply was cut")
    assert len(api.chat_calls) == calls
    check_books(asked, api)


@pytest.mark.parametrize("place", range(1, CALLS + 1))
@pytest.mark.parametrize("fault", HOPELESS)
def test_days_limit_ends_all_calls(simulate: Simulate, fault: Fault, place: int) -> None:
    """429 at once, and no further call; a solution that is there by then is the answer."""
    api = simulate(rules=at(place, fault))
    asked = ask(api.url, **SPARE)
    if place <= 2:  # a plan, or its execution
        assert isinstance(asked.error, errors.QuotaExhausted)
        assert asked.error.status == 429
    else:
        assert asked.done.outcome.answer == TEXT
        assert all("the day's limit" in line for line in asked.done.degraded)
    assert len(api.chat_calls) == place


@pytest.mark.parametrize("fault", HOPELESS)
def test_days_limit_ends_what_runs_beside_it(simulate: Simulate, fault: Fault) -> None:
    """Of three candidates with three plans each, the calls under way end, and none begins."""
    api = simulate(rules=(Rule(text=TEXT, fault=fault, times=1), Rule(fault="hang")))
    asked = ask(api.url)
    assert isinstance(asked.error, errors.QuotaExhausted)
    settle(api)
    assert len(api.chat_calls) <= 9
    assert {call.status for call in api.chat_calls} <= {429, CLIENT_GONE}


@pytest.mark.parametrize("place", range(1, CALLS + 1))
@pytest.mark.parametrize("fault", ["500", "close", "reset_body", "empty_content", "invalid_json"])
def test_step_that_fails_to_the_end_is_left_out(simulate: Simulate, fault: Fault, place: int) -> None:
    """After the last try another attempt, the first solution or the review stands for it; the answer is whole."""
    api = simulate(rules=at(place, fault, times=2))
    asked = ask(api.url, call_attempts=2, **SPARE)
    assert asked.done.outcome.answer == TEXT
    assert len(asked.done.degraded) == 1
    assert len(api.chat_calls) == {1: CALLS + 2, 2: CALLS + 3}.get(place, CALLS + 1)
    check_books(asked, api)


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
def test_fault_that_never_ends(simulate: Simulate, fault: Fault, kind: type[errors.CepoError], status: int) -> None:
    """One plan and then the direct answer, each tried to the end: its own error and status, and no call after it."""
    api = simulate(rules=(Rule(text=TEXT, fault=fault),))
    asked = ask_in_stalled_time(api, call_attempts=2, **ONE)
    assert isinstance(asked.error, kind)
    assert asked.error.status == status
    settle(api)
    assert len(api.chat_calls) == (2 if fault in CUT else 4)


@pytest.mark.parametrize("fault", LIMITED)
def test_limit_that_never_ends(simulate: Simulate, fault: Fault) -> None:
    """It is waited for as long as the request has time, and then the request has failed."""
    api = simulate(rules=(Rule(text=TEXT, fault=fault),))
    asked = ask(api.url, deadline=0.3, **ONE)
    assert asked.error is not None
    assert asked.error.status in (429, 504)
    settle(api)
    assert {call.status for call in api.chat_calls} <= {429, CLIENT_GONE}
