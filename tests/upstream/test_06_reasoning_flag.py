"""A defect of OptiLLM's configuration: who changes it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import openai
from conftest import KEY
from optillm.cepo.cepo import cepo
from support.defects import defect
from upstream.conftest import configured

from optillm_cerebras_cepo.simulator import Simulator

Simulate = Callable[..., Simulator]
MODEL = "gpt-oss-120b"  # it takes a reasoning effort


def refusing(create: Callable[..., Any]) -> Any:
    """A client whose first call is refused for its effort, in the words that OptiLLM knows: those of older SDKs."""
    body = {"error": {"message": 'think value "high" is not supported for this model'}}
    response = httpx.Response(400, request=httpx.Request("POST", "http://127.0.0.1"))
    refusals = [openai.BadRequestError(f"Error code: 400 - {body}", response=response, body=body)]

    def first_refused(**call: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return create(**call)

    return SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=first_refused)))


@defect
def test_a_request_changes_the_configuration_of_all(simulate: Simulate) -> None:
    """After a request whose first call is refused for its reasoning effort, the next one still sends it."""
    api = simulate()
    client = openai.OpenAI(api_key=KEY, base_url=f"{api.url}/v1", max_retries=0)
    shared = configured(use_reasoning=True, bestofn_rating_type="majority")
    cepo("", "Why?", refusing(client.chat.completions.create), MODEL, shared)
    assert "reasoning_effort" not in api.chat_calls[0].body
    api.clear()
    cepo("", "Why?", client, MODEL, shared)
    assert {call.body.get("reasoning_effort") for call in api.chat_calls} == {"high"}
