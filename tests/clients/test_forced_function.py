"""Functions that the model must, may or must not call: what the library `openai` gets, and what reaches the API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.client_libraries import Client, House, Programs
from support.frameworks import CITY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first to use a library installs it

OPENAI = [Client("openai2.lock", "openai_sync.py"), Client("openai3.lock", "openai_sync.py")]
PLANNED = 6  # calls with effort low, which the program sends as a field

both = pytest.mark.parametrize("client", OPENAI, ids=lambda client: client.name)


def check_call(reply: dict[str, Any]) -> None:
    """Check that the reply is one call of the function, and nothing else."""
    (call,) = reply["tool_calls"]
    assert (call["name"], json.loads(call["arguments"])) == ("city", CITY)
    assert call["id"]
    assert reply["finish_reason"] == "tool_calls"
    assert not reply["content"]


@both
@pytest.mark.parametrize("scenario", ["function_named", "function_named_among_two", "function_required"])
def test_one_function_is_planned(programs: Programs, client: Client, scenario: str, model: House) -> None:
    """A function that must be called is a form of the answer."""
    model.api.clear()
    reply = programs.run(client, scenario, model)
    check_call(reply)
    assert reply["cepo_cerebras"]["planned"] is True
    assert len(model.api.chat_calls) == PLANNED
    assert reply["usage"]["total_tokens"] == model.api.usage.total_tokens


@both
def test_one_function_is_streamed(programs: Programs, client: Client, model: House) -> None:
    """Progress first, and none after the call."""
    model.api.clear()
    reply = programs.run(client, "function_stream", model)
    check_call(reply)
    assert reply["kinds"] == ["role", "reasoning", "tool_calls", "finish", "usage"]
    assert len(model.api.chat_calls) == PLANNED


@both
@pytest.mark.parametrize(("scenario", "called"), [("functions_required", "weather"), ("function_auto", "city")])
def test_a_choice_of_the_model_is_forwarded(
    programs: Programs, client: Client, scenario: str, called: str, model: House
) -> None:
    """In one direct call, and the reply says why."""
    model.api.clear()
    reply = programs.run(client, scenario, model)
    assert [call["name"] for call in reply["tool_calls"]] == [called]
    assert reply["cepo_cerebras"]["planned"] is False
    assert reply["cepo_cerebras"]["forwarded"]
    assert len(model.api.chat_calls) == 1


@both
def test_a_function_that_must_not_be_called_is_no_hindrance(programs: Programs, client: Client, model: House) -> None:
    """The answer is planned."""
    model.api.clear()
    reply = programs.run(client, "function_none", model)
    assert reply["content"].startswith("The simulated answer is 42, ")
    assert reply["cepo_cerebras"]["planned"] is True
    assert len(model.api.chat_calls) == PLANNED
