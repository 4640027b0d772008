"""Defects of OptiLLM's defaults: what models are sent that have no use for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optillm.server as server
import yaml
from support.defects import defect

from optillm_cerebras_cepo.simulator import Simulator

Simulate = Callable[..., Simulator]


@defect
def test_reasoning_effort_goes_to_models_that_refuse_it(simulate: Simulate, run_cepo: Any) -> None:
    """With the packaged configuration a model that takes no reasoning effort is never sent one."""
    with open(server.get_config_path(), encoding="utf-8") as file:
        packaged = yaml.safe_load(file)["use_reasoning"]
    api = simulate()
    run_cepo(api, use_reasoning=packaged)
    assert {call.status for call in api.chat_calls} == {200}
    assert not [call for call in api.chat_calls if "reasoning_effort" in call.body]


@defect
def test_every_prompt_ends_with_a_switch_of_some_models(simulate: Simulate, run_cepo: Any) -> None:
    """None does that goes to a model which does not read it."""
    api = simulate()
    run_cepo(api)
    prompts = [message["content"] for call in api.chat_calls for message in call.body["messages"]]
    assert prompts
    assert not [prompt for prompt in prompts if prompt.endswith("/think")]
