"""Defects of OptiLLM's plans: their diversity, and the attempts at them."""

from __future__ import annotations

from typing import Any

from support.defects import defect
from upstream.conftest import Cepo, Simulate

from optillm_cerebras_cepo.simulator import Rule, Simulator

# docs/upstream/08-plan-diversity


LIMIT = 333  # tokens for the approaches, by which the calls for them are known
DIVERSE = {"use_plan_diversity": True, "planning_max_tokens_step0": LIMIT, "bestofn_rating_type": "majority"}


def proposals(api: Simulator) -> list[dict[str, Any]]:
    """Return the calls for approaches."""
    return [call.body for call in api.chat_calls if call.body["max_tokens"] == LIMIT]


@defect
def test_settings_of_plan_diversity_do_not_exist(simulate: Simulate, run_cepo: Cepo) -> None:
    """The call for approaches has its token limit and its temperature."""
    api = simulate(rules=(Rule(times=1, text='{"approach_1": "Count."}'), Rule(text="42")))
    run_cepo(api, planning_temperature_step0=0.75, **DIVERSE)
    (proposal,) = proposals(api)
    assert proposal["temperature"] == 0.75


@defect
def test_too_few_approaches_are_a_crash(simulate: Simulate, run_cepo: Cepo) -> None:
    """Three candidates follow what approaches there are; without any they are planned all the same."""
    for reply, plans in (('{"approach_1": "Count."}', 3), ('{"approach_1": "Count.", "app', 3), ('["Count."]', 0)):
        api = simulate(rules=(Rule("JSON", text=reply), Rule(text="42")))
        assert run_cepo(api, bestofn_n=3, **DIVERSE)[0] == "42"
        planned = [call.body["messages"] for call in api.chat_calls if len(call.body["messages"]) == 4]
        assert len(planned) == 3
        assert sum("Count." in messages[1]["content"] for messages in planned) == plans


# docs/upstream/09-attempts


PLAN = Rule(text="PLANNED")


@defect
def test_all_attempts_start_at_once(simulate: Simulate, run_cepo: Cepo) -> None:
    """As many attempts as plans are wanted, and one more for the one whose execution was cut."""
    cut = Rule("PLANNED", search_in="all", times=1, text="", finish_reason="length")
    api = simulate(rules=(cut, Rule("PLANNED", search_in="all", text="SOLVED"), Rule("SOLVED", text="42"), PLAN))
    run_cepo(api, planning_n=2, planning_m=5, bestofn_rating_type="majority")
    assert sum(len(call.body["messages"]) == 4 for call in api.chat_calls) == 3  # executions
    assert len(api.chat_calls) == 3 * 2 + 2


@defect
def test_tokens_of_unused_attempts_are_not_counted(simulate: Simulate, run_cepo: Cepo) -> None:
    """What OptiLLM reports is what the API has counted."""
    api = simulate(rules=(PLAN,))
    _, tokens = run_cepo(api, planning_m=3, bestofn_rating_type="majority")
    assert tokens == api.usage.completion_tokens
