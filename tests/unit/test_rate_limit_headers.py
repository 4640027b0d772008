"""Rate limits in headers and in texts of refusals."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.rate_limit_headers import (
    WINDOWS,
    Allowance,
    quota_of,
    refused_window,
    unit_of,
)
from optillm_cerebras_cepo.simulator.problems import queue_exceeded, request_quota_exceeded, token_quota_exceeded


def headers(window: str, limit: str, remaining: str) -> dict[str, str]:
    """Those of one window."""
    return {f"x-ratelimit-limit-{window}": limit, f"x-ratelimit-remaining-{window}": remaining}


def test_each_window_is_read_from_its_headers() -> None:
    """As many as are sent; a float is a number as well."""
    sent = {**headers("requests-minute", "30", "29"), **headers("tokens-day", "1000000", "12.5")}
    assert quota_of(sent) == {"requests-minute": Allowance(30, 29), "tokens-day": Allowance(1_000_000, 12.5)}


def test_invalid_headers_are_ignored() -> None:
    """Half a pair, words, negative numbers, a limit of 0; more remaining than the limit counts as the limit."""
    for limit, remaining in [("30", "many"), ("nan", "3"), ("30", "-1"), ("inf", "3"), ("0", "0")]:
        assert quota_of(headers("requests-minute", limit, remaining)) == {}
    assert quota_of({"x-ratelimit-limit-requests-minute": "30"}) == {}
    assert quota_of(headers("requests-minute", "30", "31")) == {"requests-minute": Allowance(30, 30)}


@given(st.dictionaries(st.sampled_from([f"x-ratelimit-limit-{window}" for window in WINDOWS]), st.text()))
def test_headers_of_any_text_are_ignored(sent: dict[str, str]) -> None:
    """Whatever a gateway sends."""
    assert quota_of(sent) == {}


@pytest.mark.parametrize("name", ["uncached-tokens-minute", "tokens-uncached-minute", "tokens-minute-uncached"])
def test_a_limit_of_another_name_is_a_window_of_its_own(name: str) -> None:
    """However the API orders the words; the header beside it keeps its own window."""
    sent = {**headers("tokens-minute", "3000", "2000"), **headers(name, "1000", "500")}
    assert quota_of(sent) == {"tokens-minute": Allowance(3000, 2000), "uncached-tokens-minute": Allowance(1000, 500)}


@pytest.mark.parametrize("name", ["tokens", "minute", "calls-minute", "tokens-fortnight", "tokens-1-minute", ""])
def test_a_header_without_kind_or_unit_is_no_window(name: str) -> None:
    """Nobody knows what it limits."""
    assert quota_of(headers(name, "30", "29")) == {}


def test_refusals_of_uncached_tokens_are_not_those_of_all() -> None:
    """The word before makes another window; any other word does not."""
    text = token_quota_exceeded(uncached=True).body["message"]
    assert refused_window(text) == "uncached-tokens-minute"
    assert refused_window("Total tokens per minute limit exceeded") == "total-tokens-minute"
    assert refused_window("Too many tokens per minute") == "tokens-minute"


def test_refusals_name_their_window() -> None:
    """In the recorded texts; a lack of capacity names none."""
    units: tuple[Literal["minute", "hour", "day"], ...] = ("minute", "hour", "day")
    assert [refused_window(request_quota_exceeded(unit).body["message"]) for unit in units] == list(WINDOWS[:3])
    assert [refused_window(token_quota_exceeded(unit).body["message"]) for unit in units] == list(WINDOWS[3:])
    assert refused_window(queue_exceeded().body["message"]) == ""
    assert [unit_of(window) for window in WINDOWS[:3]] == list(units)
