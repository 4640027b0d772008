"""Each fault of a reply that somebody hears while it is written: what has been heard cannot be unsaid."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from faults.asking import TEXT, ask, ask_in_stalled_time, at, check_books, settle
from optillm_cerebras_cepo import errors
from optillm_cerebras_cepo.simulator import Fault, Simulator

Simulate = Callable[..., Simulator]

SILENT = (
    "request_quota",
    "token_quota",
    "queue_exceeded",
    "500",
    "502",
    "503",
    "close",
    "reset",
    "html",
    "empty_content",
    "null_content",
    "no_choices",
    "null_choices",
    "hang",
    "trickle",
)
BROKEN = ("cut", "reset_body", "wrong_length", "short_length", "invalid_json")
HARMLESS = ("no_usage", "duplicate_headers", "no_tool_index", "one_tool_index")
CUT = ("length", "content_filter")
HOPELESS = ("request_quota_day", "token_quota_day")


def test_every_fault_is_told_apart() -> None:
    """What a fault of a stream comes to is said here for each that there is."""
    assert sorted((*SILENT, *BROKEN, *HARMLESS, *CUT, *HOPELESS)) == sorted(get_args(Fault))


@pytest.mark.parametrize("fault", SILENT)
def test_call_of_which_nothing_was_heard_is_made_again(simulate: Simulate, fault: str) -> None:
    """The listener hears the answer once, and whole."""
    api = simulate(rules=at(1, fault))
    asked = ask_in_stalled_time(api, listens=True, effort="none")
    assert asked.heard == asked.done.outcome.answer == TEXT
    assert asked.done.degraded == ()
    assert len(api.chat_calls) == 2
    check_books(asked, api)


@pytest.mark.parametrize("fault", BROKEN)
def test_answer_that_breaks_off_ends_as_an_error(simulate: Simulate, fault: str) -> None:
    """What was heard is the answer's beginning; the error says that it broke off, and no call follows."""
    api = simulate(rules=at(1, fault))
    asked = ask(api.url, listens=True, effort="none")
    assert isinstance(asked.error, errors.StreamBroken)
    assert asked.error.status == 502
    assert TEXT.startswith(asked.heard)
    assert 0 < len(asked.heard) < len(TEXT)
    settle(api)
    assert len(api.chat_calls) == 1


@pytest.mark.parametrize("fault", HARMLESS)
def test_fault_that_harms_nobody(simulate: Simulate, fault: str) -> None:
    """No call more."""
    api = simulate(rules=at(1, fault))
    asked = ask(api.url, listens=True, effort="none")
    assert asked.heard == asked.done.outcome.answer == TEXT
    assert len(api.chat_calls) == 1


@pytest.mark.parametrize("fault", CUT)
def test_answer_cut_by_the_api_says_so(simulate: Simulate, fault: str) -> None:
    """A direct answer ends as the API ended it, and its finish_reason tells the client, as OpenAI's does."""
    api = simulate(rules=at(1, fault))
    asked = ask(api.url, listens=True, effort="none")
    assert asked.heard == asked.done.outcome.answer
    assert asked.done.outcome.finish_reason == fault
    assert len(api.chat_calls) == 1
    check_books(asked, api)


@pytest.mark.parametrize("fault", HOPELESS)
def test_days_limit_ends_the_request(simulate: Simulate, fault: str) -> None:
    """429 at once; nothing was heard."""
    api = simulate(rules=at(1, fault))
    asked = ask(api.url, listens=True, effort="none")
    assert isinstance(asked.error, errors.QuotaExhausted)
    assert asked.heard == ""
    assert len(api.chat_calls) == 1
