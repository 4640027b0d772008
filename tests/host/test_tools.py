"""Requests that cannot be planned: tools, their results, and images."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from optillm_cerebras_cepo.simulator.answers import Rule, ToolUse
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize("stream", [False, True])
def test_tools_go_to_the_model_itself(serve: Any, simulate: Simulate, stream: bool) -> None:
    """One call with the client's own messages; its tool calls are returned, and the reply gives the reason."""
    api = simulate(rules=(Rule(tool_calls=(ToolUse("add", '{"a": 1, "b": 2}'),)),))
    response = serve(api.url)(tools=[TOOL], tool_choice="auto", stream=stream)
    text = response.get_data(as_text=True)
    (call,) = api.chat_calls
    assert call.body["messages"] == [{"role": "user", "content": "What is 6 times 7?"}]
    assert (call.body["tools"], call.body["tool_choice"]) == ([TOOL], "auto")
    if not stream:
        body = response.get_json()
        (choice,) = body["choices"]
        (made,) = choice["message"]["tool_calls"]
        assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
        ours = body["cepo_cerebras"]
    else:
        events = [event.removeprefix("data: ") for event in text.split("\n\n")]
        stream_of = [json.loads(event) for event in events if event.startswith("{")]
        pieces = [
            piece
            for chunk in stream_of
            for choice in chunk["choices"]
            for piece in choice["delta"].get("tool_calls", ())
        ]
        made = {"id": pieces[0]["id"], "function": {"name": pieces[0]["function"]["name"]}}
        made["function"]["arguments"] = "".join(piece["function"].get("arguments", "") for piece in pieces)
        assert stream_of[-1]["choices"][0]["finish_reason"] == "tool_calls"
        ours = stream_of[-1]["cepo_cerebras"]
    assert made["function"] == {"name": "add", "arguments": '{"a": 1, "b": 2}'}
    assert made["id"]
    assert (ours["planned"], ours["forwarded"], ours["calls"]) == (False, "the request has tools", 1)


@pytest.mark.parametrize("fault", ["no_tool_index", "one_tool_index"])
def test_streamed_tool_calls_have_an_index_each(serve: Any, simulate: Simulate, fault: Any) -> None:
    """Even if the API sends none, or one for all: the client gets two calls with their own arguments."""
    uses = (ToolUse("add", '{"a": 1, "b": 2}'), ToolUse("add", '{"a": 3, "b": 4}'))
    api = simulate(rules=(Rule(tool_calls=uses, fault=fault),))
    text = serve(api.url)(tools=[TOOL], stream=True).get_data(as_text=True)
    events = [event.removeprefix("data: ") for event in text.split("\n\n")]
    chunks = [json.loads(event) for event in events if event.startswith("{")]
    arguments: dict[int, str] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            for piece in choice["delta"].get("tool_calls", ()):
                arguments.setdefault(piece["index"], "")
                arguments[piece["index"]] += piece["function"]["arguments"]
    assert arguments == {0: uses[0].arguments, 1: uses[1].arguments}


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": ""}])
def test_a_tools_result_goes_back_to_the_model(ask: Any, api: Simulator, content: dict[str, Any]) -> None:
    """The call and the result as the client has sent them, without nulls. OptiLLM 0.3 fails on the first two."""
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "add"},
        {"role": "assistant", **content, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    body = ask(question=None, messages=messages).get_json()
    assert body["cepo_cerebras"]["forwarded"] == "the conversation has calls of tools"
    assert body["choices"][0]["message"]["content"]
    sent = [{name: value for name, value in message.items() if value is not None} for message in messages]
    assert api.chat_calls[0].body["messages"] == sent


def test_an_image_goes_to_the_model_which_may_refuse_it(ask: Any, api: Simulator) -> None:
    """The API's refusal is returned to the client."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "what is this?"}, image]}]
    response = ask(question=None, messages=messages)
    assert api.chat_calls[0].body["messages"] == messages
    assert (response.status_code, response.get_json()["error"]["code"]) == (400, "refused_by_api")


def test_tools_with_a_response_format(serve: Any, simulate: Simulate) -> None:
    """The API takes no call with both: it gets the tools, `fitted` says so, and a text is checked all the same."""
    api = simulate(rules=(Rule("^Your answer cannot be used", text='{"a": 1}'), Rule(text="No JSON.")))
    body = serve(api.url)(tools=[TOOL], response_format={"type": "json_object"}).get_json()
    assert body["choices"][0]["message"]["content"] == '{"a": 1}'
    assert [
        ("tools" in call.body, "response_format" in call.body) for call in api.chat_calls if call.status == 200
    ] == [
        (True, False),
        (True, False),
    ]
    assert body["cepo_cerebras"]["fitted"] == [
        "direct: response_format dropped",
        "repair: response_format dropped",
    ]
