"""Defects of what OptiLLM makes of an approach's answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.defects import defect

from optillm_cerebras_cepo.simulator import Rule, Simulator

Simulate = Callable[..., Simulator]


@defect
def test_replies_have_no_id_and_half_a_usage(simulate: Simulate, ask_cepo: Any) -> None:
    """A reply is a chat.completion, and its usage has what the API has counted of all prompts."""
    api = simulate()
    reply = ask_cepo(api)().get_json()
    assert reply["id"]
    assert reply["object"] == "chat.completion"
    assert reply["created"] > 0
    assert reply["usage"]["prompt_tokens"] == api.usage.prompt_tokens
    assert reply["usage"]["total_tokens"] == reply["usage"]["prompt_tokens"] + reply["usage"]["completion_tokens"]


@defect
def test_an_answer_is_cut_at_a_speakers_name(simulate: Simulate, ask_cepo: Any) -> None:
    """It reaches the client as the model wrote it."""
    answer = "Begin each turn with User: or with Assistant: and a space."
    reply = ask_cepo(simulate(rules=(Rule(text=answer),)), bestofn_rating_type="majority")()
    assert reply.get_json()["choices"][0]["message"]["content"] == answer
