"""A defect of OptiLLM's CePO: what a client asks for is not what it gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.defects import defect

from optillm_cerebras_cepo.simulator import Simulator

GIVEN = {"temperature": 1.5, "top_p": 0.25, "stop": ["END"], "seed": 7, "response_format": {"type": "json_object"}}


@defect
def test_parameters_are_ignored(simulate: Callable[..., Simulator], ask_cepo: Any) -> None:
    """The one call that writes the answer has them, and no other has."""
    api = simulate()
    question = [{"role": "user", "content": "Why? Answer in JSON."}]
    assert ask_cepo(api, bestofn_rating_type="majority")(messages=question, **GIVEN).status_code == 200
    calls = [call.body for call in api.chat_calls]
    assert [{name: call.get(name) for name in GIVEN} == GIVEN for call in calls] == [False, False, False, True]
