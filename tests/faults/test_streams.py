"""Each fault of a streamed reply: text that was sent to the client cannot be withdrawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from faults.asking import TEXT, ask, ask_in_stalled_time, at, check_usage, settle
from optillm_cerebras_cepo.core import errors
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
DAILY_LIMITS = ("request_quota_day", "token_quota_day")


def test_every_fault_is_tested() -> None:
    """Each fault of a stream is in one of the groups above."""
    assert sorted((*SILENT, *BROKEN, *HARMLESS, *CUT, *DAILY_LIMITS)) == sorted(get_args(Fault))


@pytest.mark.parametrize("fault", SILENT)
def test_call_without_streamed_text_is_retried(simulate: Simulate, fault: str) -> None:
    """The listener receives the complete answer once."""
    api = simulate(rules=at(1, fault))
    run = ask_in_stalled_time(api, listens=True, effort="none")
    assert run.streamed == run.result.outcome.answer == TEXT
    assert run.result.degraded == ()
    assert len(api.chat_calls) == 2
    check_usage(run, api)


@pytest.mark.parametrize("fault", BROKEN)
def test_interrupted_answer_ends_with_an_error(simulate: Simulate, fault: str) -> None:
    """The streamed text is the beginning of the answer, the error mentions the interruption, and no call follows."""
    api = simulate(rules=at(1, fault))
    run = ask(api.url, listens=True, effort="none")
    assert isinstance(run.error, errors.StreamBroken)
    assert run.error.status == 502
    assert TEXT.startswith(run.streamed)
    assert 0 < len(run.streamed) < len(TEXT)
    settle(api)
    assert len(api.chat_calls) == 1


@pytest.mark.parametrize("fault", HARMLESS)
def test_harmless_fault(simulate: Simulate, fault: str) -> None:
    """No further call."""
    api = simulate(rules=at(1, fault))
    run = ask(api.url, listens=True, effort="none")
    assert run.streamed == run.result.outcome.answer == TEXT
    assert len(api.chat_calls) == 1


@pytest.mark.parametrize("fault", CUT)
def test_answer_cut_by_the_api_has_its_finish_reason(simulate: Simulate, fault: str) -> None:
    """A direct answer ends as the API ended it, with its finish_reason."""
    api = simulate(rules=at(1, fault))
    run = ask(api.url, listens=True, effort="none")
    assert run.streamed == run.result.outcome.answer
    assert run.result.outcome.answers[0].finish_reason == fault
    assert len(api.chat_calls) == 1
    check_usage(run, api)


@pytest.mark.parametrize("fault", DAILY_LIMITS)
def test_daily_limit_ends_the_request(simulate: Simulate, fault: str) -> None:
    """With 429 and without streamed text."""
    api = simulate(rules=at(1, fault))
    run = ask(api.url, listens=True, effort="none")
    assert isinstance(run.error, errors.QuotaExhausted)
    assert run.streamed == ""
    assert len(api.chat_calls) == 1
