"""Defects of OptiLLM's absolute ratings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from optillm.cepo.cepo import rate_completions_absolute
from support.defects import defect
from upstream.conftest import MODEL, configured, sdk

from optillm_cerebras_cepo.simulator import Rule, Simulator

Simulate = Callable[..., Simulator]
JUDGE = r"\b[Rr]ating\b"  # in what a judge is asked, and nobody else
LIMIT = 333  # tokens of a rating, by which its calls are known
CANDIDATES = Rule(text=("It is 4.", "It is 5."))


def ratings(api: Simulator) -> int:
    """Calls of judges."""
    return sum(call.body["max_tokens"] == LIMIT for call in api.chat_calls)


@defect
def test_a_rating_is_asked_for_twice(simulate: Simulate, run_cepo: Any) -> None:
    """One call for each of two candidates."""
    api = simulate(rules=(Rule(JUDGE, text="Rating: [[1]]"), CANDIDATES))
    run_cepo(api, bestofn_n=2, bestofn_max_tokens=LIMIT)
    assert ratings(api) == 2


@defect
def test_tokens_of_ratings_are_not_counted(simulate: Simulate, run_cepo: Any) -> None:
    """What OptiLLM reports is what the API has counted."""
    api = simulate(rules=(Rule(JUDGE, text="Rating: [[1]]"), CANDIDATES))
    _, tokens = run_cepo(api, bestofn_n=2)
    assert tokens == api.usage.completion_tokens


@defect
def test_one_wording_of_a_rating_is_read(simulate: Simulate) -> None:
    """The right one of two candidates is chosen, however its judge writes its rating down."""
    right = Rule(rf"(?s)It is 5\..*{JUDGE}", text="**Rating:** [[1]]")
    api = simulate(rules=(right, Rule(JUDGE, text="Rating: [[0]]")))
    candidates, config = ["It is 4.", "It is 5."], configured(bestofn_n=2)
    answer, *_ = rate_completions_absolute("", "Which?", sdk(api), MODEL, candidates, config, {})
    assert answer == "It is 5."


@defect
def test_a_cut_rating_is_a_crash(simulate: Simulate, run_cepo: Any) -> None:
    """An answer all the same."""
    api = simulate(rules=(Rule(JUDGE, text="", finish_reason="length"), CANDIDATES))
    assert run_cepo(api, bestofn_n=2)[0]
