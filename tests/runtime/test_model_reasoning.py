"""The model's own reasoning: sent to models that take the value, with room for its tokens, by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import KEY
from pydantic import ValidationError
from support.asking import ask
from support.solving import solve

from optillm_cerebras_cepo.cepo.step_caller import REASONING_ROOM
from optillm_cerebras_cepo.core.chat import Parameters, Question, Step
from optillm_cerebras_cepo.core.errors import NoAnswer
from optillm_cerebras_cepo.llm.metering import REASONING_FACTOR
from optillm_cerebras_cepo.llm.models import MODELS, Model
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.settings.declaration import REASONING_EFFORTS, Settings
from optillm_cerebras_cepo.simulator import Rule, Simulator

Simulate = Callable[..., Simulator]
ONE: dict[str, Any] = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1}
THOUGHT = "First of all, we think. " * 200


@pytest.mark.parametrize("effort", REASONING_EFFORTS)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_a_value_goes_to_the_models_that_take_it(simulate: Simulate, model: Model, effort: str) -> None:
    """The strict API refuses it elsewhere; no call is refused."""
    served = model.id if model.id != "qwen-3-32b" else "qwen-3-32b=llama-3.3-70b"  # not in the simulator's table
    api = simulate(models=(served,))
    solved = ask(api.url, model=(model.id,), model_reasoning=effort, **ONE)
    assert {call.status for call in api.chat_calls} == {200}
    sent = {call.body.get("reasoning_effort") for call in api.chat_calls}
    assert sent == ({effort} if effort in model.efforts else {None})
    assert solved.fitted == ()


def test_by_default_no_model_gets_any(simulate: Simulate) -> None:
    """Reasoning models decide for themselves."""
    api = simulate(models=("gpt-oss-120b",))
    ask(api.url, model=("gpt-oss-120b",), **ONE)
    assert not [call for call in api.chat_calls if "reasoning_effort" in call.body]


def test_each_step_may_have_its_own_value(simulate: Simulate) -> None:
    """With room for the reasoning, in addition to the step's own limit."""
    api = simulate(models=("gpt-oss-120b",))
    ask(api.url, model=("gpt-oss-120b",), model_reasoning="low, final=high", **ONE)
    sent = [(call.body["reasoning_effort"], call.body["max_completion_tokens"]) for call in api.chat_calls]
    assert sent == [("low", 4096 + REASONING_ROOM["low"])] * 3 + [("high", 4096 + REASONING_ROOM["high"])]


def test_only_a_named_step_has_one(simulate: Simulate) -> None:
    """The others get nothing."""
    api = simulate(models=("gpt-oss-120b",))
    ask(api.url, model=("gpt-oss-120b",), model_reasoning="plan=low", **ONE)
    assert [call.body.get("reasoning_effort") for call in api.chat_calls] == ["low", None, None, None]


@pytest.mark.parametrize("value", ["loud", "plan=loud", "planning=low", "low,=high,x", "plan"])
def test_other_values_are_refused(value: str) -> None:
    """With what may stand there."""
    with pytest.raises(ValidationError, match="model_reasoning"):
        Settings(model_reasoning=value)


def test_values_by_step() -> None:
    """A value without a step is that of all others."""
    settings = Settings(model_reasoning="low,final=medium")
    assert {step: settings.reasoning(step) for step in (Step.PLAN, Step.FINAL)} == {
        Step.PLAN: "low",
        Step.FINAL: "medium",
    }
    assert Settings().reasoning(Step.PLAN) is None


def direct(api: Simulator, **parameters: Any) -> Any:
    """Ask the reasoning model directly."""
    settings = Settings(effort="none", model=("gpt-oss-120b",), planning_max_tokens_direct_resp=100)
    client = RUNTIME.client(api.url, KEY)
    return solve(RUNTIME, Question("Why?"), settings, client, parameters=Parameters(**parameters))


def test_reasoning_that_used_up_the_limit_gets_more(simulate: Simulate) -> None:
    """The call is made once more with a higher limit. Both are counted, by step with their reasoning."""
    api = simulate(models=("gpt-oss-120b",), rules=(Rule(text="Because.", reasoning=THOUGHT * 3),))
    solved = direct(api)
    limits = [call.body["max_completion_tokens"] for call in api.chat_calls]
    assert limits == [2000, 2000 * REASONING_FACTOR]
    assert solved.outcome.answer == "Because."
    assert solved.ledger.by_step[Step.DIRECT].reasoning_tokens > 2000
    assert ["raised" in line for line in solved.fitted] == [True]


def test_a_clients_own_limit_stays(simulate: Simulate) -> None:
    """What may be spent is the client's decision."""
    api = simulate(models=("gpt-oss-120b",), rules=(Rule(text="Because.", reasoning=THOUGHT),))
    with pytest.raises(NoAnswer, match="max_tokens"):
        direct(api, max_tokens=200)
    assert [call.body["max_completion_tokens"] for call in api.chat_calls] == [200]
