"""Random mixtures of faults: whatever comes, an answer that the model gave, or an error that says why there is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.stalled_time import stalled_time

from faults.asking import TEXT, Asked, ask, check_books, settle
from optillm_cerebras_cepo import errors
from optillm_cerebras_cepo.simulator import FAULTS, Faults, Latency, Rule, Simulator, SimulatorOptions

SLOW = ("hang", "trickle")
FATAL = ("request_quota_day", "token_quota_day")
CUT = ("length", "content_filter")
DEADLINE = 600.0

quick = st.sampled_from([name for name in FAULTS if name not in (*SLOW, *FATAL)])
shares = st.dictionaries(quick, st.sampled_from([0.02, 0.05, 0.1, 0.2]), min_size=1, max_size=8)
rare = st.dictionaries(st.sampled_from([*SLOW, *FATAL]), st.sampled_from([0.01, 0.02]), max_size=2)
configurations = st.sampled_from(
    [
        {"effort": "none"},
        {"effort": "auto"},
        {"effort": "low"},
        {"effort": "auto", "use_plan_diversity": True},
        {"bestofn_n": 2, "planning_n": 2, "planning_m": 4},
        {"bestofn_n": 3, "planning_n": 1, "planning_m": 2, "bestofn_rating_type": "pairwise"},
    ]
)


def mixture(often: dict[str, float], seldom: dict[str, float], seed: int) -> Faults:
    """Both together, scaled down to a half of all calls where they come to more."""
    mixed = {**often, **seldom}
    scale = min(1.0, 0.5 / sum(mixed.values()))
    return Faults({name: share * scale for name, share in mixed.items()}, seed)


def check(chosen: dict[str, Any], faults: Faults, listens: bool) -> None:
    """Ask once, and compare everything that is known of it."""
    options = SimulatorOptions(
        rules=(Rule(text=TEXT),), faults=faults, latency=Latency(base=0.002, jitter=1.0, seed=faults.seed)
    )
    with Simulator(options) as api:
        with stalled_time(api) as time:
            asked = ask(api.url, listens=listens, deadline=DEADLINE, **chosen)
        settle(api)
        assert api.in_flight == 0
        assert time.now <= DEADLINE
        if asked.error is not None:
            assert 400 <= asked.error.status <= 504
            assert asked.error.message
            assert TEXT.startswith(asked.heard)
            assert len(api.chat_calls) <= len(asked.calls)
            if isinstance(asked.error, errors.QuotaExhausted):
                assert set(FATAL) & set(faults.shares)
            return
        outcome = asked.done.outcome
        if outcome.answer != TEXT:
            # A direct answer, and one that was heard already, is handed on as the API ended it, and says so.
            assert chosen.get("effort") == "none" or asked.heard
            assert outcome.finish_reason in set(CUT) & set(faults.shares)
            assert TEXT.startswith(outcome.answer)
            assert outcome.answer
        if asked.heard:
            assert asked.heard == outcome.answer
        check_spent(asked, api, faults)


def check_spent(asked: Asked, api: Simulator, faults: Faults) -> None:
    """The ledger is the API's own, but for what could not come to either's knowledge."""
    spent = asked.done.ledger.total
    assert len(api.chat_calls) <= spent.calls
    assert spent.completion_tokens <= api.usage.completion_tokens
    if spent.uncounted:
        assert "no_usage" in faults.shares
    # A reply may be on its way to a request that was left.
    left = any(isinstance(call.error, errors.Ended | errors.OutOfTime) for call in asked.calls)
    if not spent.uncounted and not left:
        check_books(asked, api)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(configurations, shares, rare, st.integers(0, 10_000), st.booleans())
def test_any_mixture(
    chosen: dict[str, Any], often: dict[str, float], seldom: dict[str, float], seed: int, listens: bool
) -> None:
    """It ends within its deadline, says nothing wrong, counts every call, and leaves none under way."""
    check(chosen, mixture(often, seldom, seed), listens)


@pytest.mark.parametrize("seed", range(5))
def test_everything_at_once(seed: int) -> None:
    """Two of a hundred calls meet each fault that passes."""
    passing: dict[str, float] = {name: 0.02 for name in FAULTS if name not in FATAL}
    check({"bestofn_n": 2, "planning_n": 2, "planning_m": 4}, Faults(passing, seed), listens=False)
