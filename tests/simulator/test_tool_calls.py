"""Scripted tool calls: conditions, tokens, and format with and without streaming."""

from __future__ import annotations

import json
from typing import Any

import pytest

from optillm_cerebras_cepo.simulator import DEFAULT_TEXT, Rule, ToolUse
from simulator.conftest import Start

WEATHER = ToolUse("weather", '{"city": "Paris", "unit": "celsius"}')
TIME = ToolUse("time", '{"zone": "CET"}')
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("weather", "time")
]
RULES = (Rule(tool_calls=(WEATHER, TIME)),)


def test_tool_calls_replace_the_text(started: Start) -> None:
    """Content is null, finish_reason is `tool_calls`, and each call has its own id."""
    client = started(rules=RULES)
    (choice,) = client.post(tools=TOOLS).json()["choices"]
    first, second = choice["message"].pop("tool_calls")
    assert choice == {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": "tool_calls"}
    assert first.pop("id") != second.pop("id") != ""
    assert first == {"type": "function", "function": {"name": "weather", "arguments": WEATHER.arguments}}
    assert second == {"type": "function", "function": {"name": "time", "arguments": TIME.arguments}}


def test_tool_calls_cost_tokens(started: Start) -> None:
    """Names and arguments are output tokens."""
    client = started(rules=RULES)
    usage = client.create(tools=TOOLS).usage
    assert usage.completion_tokens == client.simulator.usage.completion_tokens == (2 + 9) + (1 + 4)


@pytest.mark.parametrize(
    ("fields", "called"),
    [
        ({}, []),
        ({"tools": TOOLS[1:]}, ["time"]),
        ({"tools": TOOLS, "tool_choice": "none"}, []),
        ({"tools": TOOLS, "tool_choice": "required"}, ["weather", "time"]),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "time"}}}, ["time"]),
        ({"tools": TOOLS, "parallel_tool_calls": False}, ["weather"]),
    ],
)
def test_only_offered_functions_are_called(started: Start, fields: dict[str, Any], called: Any) -> None:
    """Without an offered function the rule's text is the answer."""
    message = started(rules=RULES).create(**fields).choices[0].message
    assert [call.function.name for call in message.tool_calls or ()] == called
    assert message.content == (None if called else DEFAULT_TEXT)


def test_stream_sends_each_tool_call_in_chunks(started: Start) -> None:
    """The first chunk has index, id, type and name, the others the index and a part of the arguments."""
    client = started(rules=RULES)
    # Not through the SDK: its types want a `type` in every piece, and it makes something else of a chunk without one.
    events = client.post(stream=True, tools=TOOLS).text.split("\n\n")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events if event.startswith("data: {")]
    (role, *deltas, last) = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert (role, last) == ({"role": "assistant"}, {})
    pieces = [piece for delta in deltas for piece in delta["tool_calls"]]
    assert {tuple(delta) for delta in deltas} == {("tool_calls",)}
    for index, use in enumerate((WEATHER, TIME)):
        first, *rest = [piece for piece in pieces if piece["index"] == index]
        assert first.pop("id")
        assert first == {"index": index, "type": "function", "function": {"name": use.name, "arguments": ""}}
        assert len(rest) > 1
        assert rest == [{"index": index, "function": {"arguments": piece["function"]["arguments"]}} for piece in rest]
        assert "".join(piece["function"]["arguments"] for piece in rest) == use.arguments
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["tool_calls"]
    assert chunks[-1]["usage"]["completion_tokens"] == client.simulator.usage.completion_tokens == 16


@pytest.mark.parametrize(
    ("limit", "arguments"), [(3, ['{"ci']), (11, [WEATHER.arguments]), (12, [WEATHER.arguments, ""])]
)
def test_limit_cuts_the_last_arguments(started: Start, limit: int, arguments: list[str]) -> None:
    """With finish_reason `length`; a call whose name does not fit is omitted."""
    answer = started(rules=RULES).create(tools=TOOLS, max_completion_tokens=limit)
    assert [call.function.arguments for call in answer.choices[0].message.tool_calls] == arguments
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", limit)


def test_conversation_continues_with_the_tool_result(started: Start) -> None:
    """The message with the tool calls can be sent back unchanged, and the next rule answers."""
    client = started(rules=(Rule(tool_calls=(WEATHER,), times=1), Rule(text="It is warm.")))
    user = {"role": "user", "content": "How is the weather?"}
    message = client.post(messages=[user], tools=TOOLS).json()["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "25"}
    answer = client.create(messages=[user, message, result], tools=TOOLS)
    assert answer.choices[0].message.content == "It is warm."
