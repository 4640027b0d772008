"""Rate limits in headers and in texts of refusals."""

from __future__ import annotations

from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.rate_limit_headers import WINDOWS, Allowance, quota_of, refused_window, unit_of
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


def test_refusals_name_their_window() -> None:
    """In the recorded texts; a lack of capacity names none."""
    units: tuple[Literal["minute", "hour", "day"], ...] = ("minute", "hour", "day")
    assert [refused_window(request_quota_exceeded(unit).body["message"]) for unit in units] == list(WINDOWS[:3])
    assert [refused_window(token_quota_exceeded(unit).body["message"]) for unit in units] == list(WINDOWS[3:])
    assert refused_window(queue_exceeded().body["message"]) == ""
    assert [unit_of(window) for window in WINDOWS[:3]] == list(units)
