"""Defects of OptiLLM's attempts at plans."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.defects import defect

from optillm_cerebras_cepo.simulator import Rule, Simulator

Simulate = Callable[..., Simulator]
PLAN = Rule(text="PLANNED")


@defect
def test_all_attempts_start_at_once(simulate: Simulate, run_cepo: Any) -> None:
    """As many attempts as plans are wanted, and one more for the one whose execution was cut."""
    cut = Rule("PLANNED", search_in="all", times=1, text="", finish_reason="length")
    api = simulate(rules=(cut, Rule("PLANNED", search_in="all", text="SOLVED"), Rule("SOLVED", text="42"), PLAN))
    run_cepo(api, planning_n=2, planning_m=5, bestofn_rating_type="majority")
    assert sum(len(call.body["messages"]) == 4 for call in api.chat_calls) == 3  # executions
    assert len(api.chat_calls) == 3 * 2 + 2


@defect
def test_tokens_of_unused_attempts_are_not_counted(simulate: Simulate, run_cepo: Any) -> None:
    """What OptiLLM reports is what the API has counted."""
    api = simulate(rules=(PLAN,))
    _, tokens = run_cepo(api, planning_m=3, bestofn_rating_type="majority")
    assert tokens == api.usage.completion_tokens
