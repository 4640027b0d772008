"""A defect of OptiLLM's steps: whose settings they use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.defects import defect

from optillm_cerebras_cepo.simulator import Simulator

Simulate = Callable[..., Simulator]
TOKENS = (1001, 1002, 1003, 1004)
TEMPERATURES = (0.1, 0.2, 0.3, 0.4)


@defect
def test_steps_take_the_numbers_of_the_first(simulate: Simulate, run_cepo: Any) -> None:
    """Each of the four steps asks with its own token limit and its own temperature."""
    limits = {f"planning_max_tokens_step{step}": tokens for step, tokens in enumerate(TOKENS, 1)}
    heat = {f"planning_temperature_step{step}": temperature for step, temperature in enumerate(TEMPERATURES, 1)}
    api = simulate()
    run_cepo(api, bestofn_rating_type="majority", **limits, **heat)
    asked = [(call.body["max_tokens"], call.body["temperature"]) for call in api.chat_calls]
    assert asked == [*zip(TOKENS, TEMPERATURES, strict=True)]
