"""How long calls take, and what of a request's time is kept for the steps that follow."""

from __future__ import annotations

from optillm_cerebras_cepo.cepo.request import (
    CHOOSING_AT_MOST,
    NEXT_CALL_FACTOR,
    CallTimes,
    kept_for_answer,
    kept_for_choosing,
)


def test_what_is_kept_for_the_answer_follows_from_the_calls() -> None:
    """The longest with a margin, a tenth of all the time before any; never more than a quarter and the choosing."""
    assert kept_for_answer(100, None) == 10 + CHOOSING_AT_MOST
    assert kept_for_answer(100, 8) == NEXT_CALL_FACTOR * 8 + CHOOSING_AT_MOST
    assert kept_for_answer(100, 90) == 25 + CHOOSING_AT_MOST
    assert kept_for_answer(10, 0) == kept_for_choosing(10) == 0.2
    assert kept_for_answer(float("inf"), 3) == kept_for_choosing(float("inf")) == 0


def test_times_are_this_requests_where_it_has_any() -> None:
    """Else those of earlier ones, if they are known."""
    times = CallTimes(before=4.0)
    assert (times.usual, times.longest, CallTimes().usual) == (4.0, None, None)
    for seconds in (1.0, 9.0, 2.0):
        times.add(seconds)
    assert (times.usual, times.longest) == (2.0, 9.0)
