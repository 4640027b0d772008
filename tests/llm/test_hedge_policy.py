"""When a call is late, and how many second calls there may be."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.chat import Label, Step
from optillm_cerebras_cepo.llm import hedging
from optillm_cerebras_cepo.llm.hedging import KNOWN, MARGIN, SAVED, SHARE_OF_CALLS, SHORTEST, HedgePolicy

PLAN = Label(Step.PLAN, 1)


@pytest.fixture(autouse=True)
def _hedged_calls(monkeypatch: pytest.MonkeyPatch, _no_hedged_calls: None) -> None:
    monkeypatch.setattr(hedging, "KNOWN", KNOWN)


@given(st.lists(st.booleans(), max_size=600))
def test_second_calls_are_a_bounded_share(asked: list[bool]) -> None:
    """In each stretch of calls, whichever of them are late."""
    policy, made = HedgePolicy(), 0
    for calls, late in enumerate(asked, 1):
        policy.on_call()
        made += late and policy.take()
        assert made <= SHARE_OF_CALLS * (calls + made) + 1e-6
    assert sum(policy.take() for _ in range(100)) <= SAVED / (1 - SHARE_OF_CALLS)


@given(st.lists(st.floats(0.2, 0.4), min_size=KNOWN, max_size=150), st.integers(0, 9))
def test_late_is_later_than_nearly_all_usual_calls(usual: list[float], slow: int) -> None:
    """However slow the slow ones are, which are up to a third of all."""
    policy = HedgePolicy()
    for seconds in usual + [100.0] * slow:
        policy.on_reply("m", PLAN, seconds)
    late = policy.late_after("m", PLAN)
    assert late is not None
    assert sum(seconds * MARGIN > late for seconds in usual) <= 0.05 * len(usual)
    assert late <= MARGIN * max(usual)


def test_what_is_late_is_known_after_some_calls_and_never_very_soon() -> None:
    """For this model and kind only."""
    policy = HedgePolicy()
    for number in range(KNOWN):
        assert (policy.late_after("m", PLAN) is None) == (number < KNOWN)
        policy.on_reply("m", PLAN, 0.001)
    assert policy.late_after("m", PLAN) == SHORTEST
    assert policy.late_after("m", replace(PLAN, kind="other")) is None
    assert policy.late_after("other", PLAN) is None
