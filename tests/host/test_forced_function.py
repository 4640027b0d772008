"""One function that must be called: its arguments are an answer in a form, and are planned like one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from optillm_cerebras_cepo.simulator.answers import Rule, ToolUse
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OTHER = {"type": "function", "function": {"name": "search", "parameters": {"type": "object", "properties": {}}}}
NAMED = {"type": "function", "function": {"name": "Place"}}
PARIS = '{"city": "Paris"}'


def tool(parameters: Any = SCHEMA, **more: Any) -> dict[str, Any]:
    """Return a tool; it is called Place."""
    function = {"name": "Place", "description": "Where it is.", "parameters": parameters, **more}
    return {"type": "function", "function": {name: value for name, value in function.items() if value is not None}}


def call_of(response: Any) -> dict[str, Any]:
    """Return the function that the only choice of a reply calls."""
    (choice,) = response.get_json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (None, "tool_calls")
    (call,) = choice["message"]["tool_calls"]
    assert call["id"].startswith("call_")
    assert call["type"] == "function"
    return dict(call["function"])


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [tool()], "tool_choice": NAMED},
        {"tools": [tool()], "tool_choice": "required"},
        {"tools": [OTHER, tool()], "tool_choice": NAMED},
        {"tools": [tool()], "tool_choice": NAMED, "parallel_tool_calls": False},
    ],
)
def test_it_is_planned_and_called(serve: Any, simulate: Simulate, fields: dict[str, Any]) -> None:
    """The call that writes the answer has its schema as a format; no call has tools."""
    api = simulate(rules=(Rule(text=f"It is this: {PARIS}"),))
    response = serve(api.url)(**SMALL, **fields)
    assert call_of(response) == {"name": "Place", "arguments": PARIS}
    ours = response.get_json()["cepo_cerebras"]
    assert (ours["planned"], ours["calls"], ours["fitted"]) == (True, 4, [])
    assert "forwarded" not in ours
    plan, *_, last = (call.body for call in api.chat_calls)
    wanted = {"name": "Place", "description": "Where it is.", "schema": SCHEMA}
    assert last["response_format"] == {"type": "json_schema", "json_schema": wanted}
    assert "response_format" not in plan
    assert not [call for call in api.chat_calls if "tools" in call.body]


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [tool()], "tool_choice": "auto"},
        {"tools": [tool()]},
        {"tools": [tool(), OTHER], "tool_choice": "required"},
        {"tools": [tool(None)], "tool_choice": "required"},
        {"tools": [tool({"type": "object", "$ref": "https://example.com/schema"})], "tool_choice": "required"},
        {"tools": [tool()], "tool_choice": "required", "cepo_cerebras_effort": "none"},
    ],
)
def test_any_other_choice_is_the_models(serve: Any, simulate: Simulate, fields: dict[str, Any]) -> None:
    """One call with the tools. So is a function without arguments, or with a schema that cannot be checked."""
    api = simulate(rules=(Rule(tool_calls=(ToolUse("Place", PARIS),)),))
    response = serve(api.url)(**{**SMALL, **fields})
    assert call_of(response) == {"name": "Place", "arguments": PARIS}
    assert response.get_json()["cepo_cerebras"]["forwarded"] == "the request has tools"
    (call,) = api.chat_calls
    assert len(call.body["tools"]) == len(fields["tools"])


def test_arguments_that_do_not_match_are_asked_for_once_more(serve: Any, simulate: Simulate) -> None:
    """As for a response format."""
    api = simulate(rules=(Rule(r"^Your answer cannot be used", text=PARIS), Rule(text='{"town": "Paris"}')))
    response = serve(api.url)(**SMALL, tools=[tool()], tool_choice=NAMED)
    assert call_of(response)["arguments"] == PARIS
    assert len(api.chat_calls) == 5


def test_an_answer_that_is_no_object_is_no_call(serve: Any, simulate: Simulate) -> None:
    """A client could not read its arguments. `degraded` says why."""
    response = serve(simulate(rules=(Rule(text="In Paris."),)).url)(**SMALL, tools=[tool()], tool_choice=NAMED)
    body = response.get_json()
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "In Paris."}
    assert body["cepo_cerebras"]["degraded"]


@pytest.mark.parametrize("n", [1, 2])
def test_streamed(serve: Any, simulate: Simulate, n: int) -> None:
    """Progress, then a whole call for each answer, and its finish reason."""
    ask = serve(simulate(rules=(Rule(text=f"{PARIS} Rating: [[1]]"),)).url)
    text = ask(stream=True, n=n, tools=[tool()], tool_choice=NAMED).get_data(as_text=True)
    events = [event.removeprefix("data: ") for event in text.split("\n\n")]
    choices = [choice for event in events if event.startswith("{") for choice in json.loads(event)["choices"]]
    kinds = [next(iter(choice["delta"]), "finish") for choice in choices]
    first_call = kinds.index("tool_calls")
    assert "reasoning_content" in kinds[:first_call]
    assert kinds[first_call:] == ["tool_calls", "finish"] * n
    calls = [choice["delta"]["tool_calls"] for choice in choices if "tool_calls" in choice["delta"]]
    assert [(call["index"], call["function"]) for (call,) in calls] == [(0, {"name": "Place", "arguments": PARIS})] * n
    assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["tool_calls"] * n


def earlier(name: str) -> list[dict[str, Any]]:
    """Return turns in which this function was called and answered."""
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": PARIS}}
    return [
        {"role": "user", "content": "Where is the Louvre?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "Final result processed."},
    ]


def test_earlier_calls_of_it_are_turns(serve: Any, simulate: Simulate) -> None:
    """A conversation with a client that takes every answer as a call."""
    api = simulate(rules=(Rule(text=PARIS),))
    messages = [*earlier("Place"), {"role": "user", "content": "And the Orsay?"}]
    response = serve(api.url)(None, **SMALL, messages=messages, tools=[tool()], tool_choice=NAMED)
    assert call_of(response)["name"] == "Place"
    assert response.get_json()["cepo_cerebras"]["planned"]
    for call in api.chat_calls:
        turns = [turn for turn in call.body["messages"] if turn["role"] != "system"]
        assert [(turn["role"], turn["content"]) for turn in turns[:2]] == [
            ("user", "Where is the Louvre?"),
            ("assistant", PARIS),
        ]


@pytest.mark.parametrize("messages", [earlier("Place"), [*earlier("search"), {"role": "user", "content": "And?"}]])
def test_other_conversations_with_calls_are_the_models(serve: Any, simulate: Simulate, messages: Any) -> None:
    """A result at the end says what was wrong with the arguments; calls of other functions have results that count."""
    api = simulate(rules=(Rule(tool_calls=(ToolUse("Place", PARIS),)),))
    response = serve(api.url)(None, **SMALL, messages=messages, tools=[tool()], tool_choice=NAMED)
    assert call_of(response)["arguments"] == PARIS
    (call,) = api.chat_calls
    assert [turn["role"] for turn in call.body["messages"]] == [turn["role"] for turn in messages]
    assert len(call.body["tools"]) == 1


def test_a_response_format_beside_it_is_named(serve: Any, simulate: Simulate) -> None:
    """The function decides."""
    response = serve(simulate(rules=(Rule(text=PARIS),)).url)(
        **SMALL, tools=[tool()], tool_choice=NAMED, response_format={"type": "json_object"}
    )
    assert call_of(response)["arguments"] == PARIS
    (line,) = response.get_json()["cepo_cerebras"]["fitted"]
    assert line.startswith("response_format: ")


def test_tools_that_must_not_be_called_do_not_prevent_a_plan(serve: Any, simulate: Simulate) -> None:
    """`tool_choice: none` wants a text."""
    api = simulate(rules=(Rule(text="It is 42."),))
    body = serve(api.url)(**SMALL, tools=[OTHER], tool_choice="none").get_json()
    assert body["choices"][0]["message"]["content"] == "It is 42."
    assert (body["cepo_cerebras"]["planned"], body["cepo_cerebras"]["calls"]) == (True, 4)
    assert body["cepo_cerebras"]["fitted"] == ["tools: left out, because tool_choice is none"]
