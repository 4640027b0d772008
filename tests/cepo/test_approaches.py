"""Approaches of their own: each candidate plans along one, as far as the model proposes them."""

from __future__ import annotations

from typing import Any

import pytest
from support.desk import Desk, by_candidate, run
from support.scripted import completion

from optillm_cerebras_cepo.core.chat import Step
from optillm_cerebras_cepo.core.errors import RefusedCall, WrongKey


def test_each_candidate_plans_along_its_own_approach() -> None:
    """OptiLLM asks for them, and crashes there (cepo.py:605)."""
    approaches = '{"approach_1": "by adding", "approach_2": "by counting", "approach_3": "by heart"}'
    it = Desk(
        lambda r: approaches if r.label.step is Step.APPROACHES else by_candidate(r),
        use_plan_diversity=True,
        planning_max_tokens_step0=55,
        planning_temperature_step0=0.9,
    )
    assert run(it).answer == "answer 2"
    (asked,) = it.client.of(Step.APPROACHES)
    assert (asked.max_tokens, asked.temperature) == (55, 0.9)
    plans = {request.label.candidate: request.messages[-1].content for request in it.client.of(Step.PLAN)}
    assert ["by adding" in plans[1], "by counting" in plans[2], "by heart" in plans[3]] == [True, True, True]
    assert it.caller.tracker.degraded.lines == ()


def test_a_hopeless_error_in_the_approaches_ends_the_request() -> None:
    """No candidate is begun that would meet the same."""
    it = Desk(lambda r: WrongKey("wrong") if r.label.step is Step.APPROACHES else "x", use_plan_diversity=True)
    with pytest.raises(WrongKey):
        run(it)
    assert len(it.client.requests) == 1


@pytest.mark.parametrize("reply", ['{"approach_1": "by adding"}', '{"a": "by adding", "b": 5, "c": ""}'])
def test_fewer_approaches_go_as_far_as_they_do(reply: str) -> None:
    """Candidates share them, and the reply says so."""
    it = Desk(lambda r: reply if r.label.step is Step.APPROACHES else by_candidate(r), use_plan_diversity=True)
    assert run(it).answer == "answer 2"
    assert it.caller.tracker.degraded.lines[0].startswith("approaches: ")


@pytest.mark.parametrize("reply", ["no json", "[1, 2]", '"text"', "", completion(""), RefusedCall("no")])
def test_without_approaches_the_candidates_plan_freely(reply: Any) -> None:
    """What the model proposes is not worth losing the request for."""
    it = Desk(lambda r: reply if r.label.step is Step.APPROACHES else by_candidate(r), use_plan_diversity=True)
    assert run(it).answer == "answer 2"
    assert it.caller.tracker.degraded.lines == ("approaches: 0 of 3 could be read",)
