"""Random mixtures of faults: each request ends with the model's answer or a meaningful error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.stalled_time import stalled_time

from faults.asking import TEXT, Run, ask, check_usage, settle
from optillm_cerebras_cepo.core import errors
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
    """Return both together, scaled down to at most half of all calls."""
    mixed = {**often, **seldom}
    scale = min(1.0, 0.5 / sum(mixed.values()))
    return Faults({name: share * scale for name, share in mixed.items()}, seed)


def check(chosen: dict[str, Any], faults: Faults, listens: bool) -> None:
    """Run a request, and check its result, calls and tokens."""
    options = SimulatorOptions(
        rules=(Rule(text=TEXT),), faults=faults, latency=Latency(base=0.002, jitter=1.0, seed=faults.seed)
    )
    with Simulator(options) as api:
        with stalled_time(api) as time:
            run = ask(api.url, listens=listens, deadline=DEADLINE, **chosen)
        settle(api)
        assert api.in_flight == 0
        assert time.now <= DEADLINE
        if run.error is not None:
            assert 400 <= run.error.status <= 504
            assert run.error.message
            assert TEXT.startswith(run.streamed)
            assert len(api.chat_calls) <= len(run.calls)
            if isinstance(run.error, errors.QuotaExhausted):
                assert set(FATAL) & set(faults.shares)
            return
        outcome = run.result.outcome
        if outcome.answer != TEXT:
            # A direct answer, and one that is already streamed, is returned as the API ended it.
            assert chosen.get("effort") == "none" or run.streamed
            assert outcome.answers[0].finish_reason in set(CUT) & set(faults.shares)
            assert TEXT.startswith(outcome.answer)
            assert outcome.answer
        if run.streamed:
            assert run.streamed == outcome.answer
        check_counts(run, api, faults)


def check_counts(run: Run, api: Simulator, faults: Faults) -> None:
    """Assert that the request's counts are the API's, except for calls that only one side can see."""
    spent = run.result.ledger.total
    assert len(api.chat_calls) <= spent.calls
    assert spent.completion_tokens <= api.usage.completion_tokens
    if spent.uncounted:
        assert "no_usage" in faults.shares
    # A reply may be sent after a disconnect, and each of these errors ends calls in flight.
    ending = errors.Ended | errors.OutOfTime | errors.QuotaExhausted
    left = any(isinstance(call.error, ending) for call in run.calls)
    if not spent.uncounted and not left:
        check_usage(run, api)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(configurations, shares, rare, st.integers(0, 10_000), st.booleans())
def test_any_mixture(
    chosen: dict[str, Any], often: dict[str, float], seldom: dict[str, float], seed: int, listens: bool
) -> None:
    """It ends within its deadline, says nothing wrong, counts every call, and leaves none under way."""
    check(chosen, mixture(often, seldom, seed), listens)


@pytest.mark.parametrize("seed", range(5))
def test_all_faults_together(seed: int) -> None:
    """Each temporary fault occurs in 2 % of the calls."""
    passing: dict[str, float] = {name: 0.02 for name in FAULTS if name not in FATAL}
    check({"bestofn_n": 2, "planning_n": 2, "planning_m": 4}, Faults(passing, seed), listens=False)
