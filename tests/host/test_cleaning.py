"""Messages and tools for the API: only fields of its schema are sent, and the reply lists the removed ones."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host.request import question_from
from optillm_cerebras_cepo.simulator.schema import ChatCompletionServerRequest
from optillm_cerebras_cepo.simulator.server import Simulator

CACHE = {"cache_control": {"type": "ephemeral"}}
FREE = {"type": "object", "x-mine": None, "properties": {"cache_control": {"type": "string", "strict": None}}}
TOOL = {"type": "function", "function": {"name": "add", "parameters": FREE}}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": null}'}}
ASK = {"role": "user", "content": "add"}
CALLED = {"role": "assistant", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "2"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,", "detail": "low"}}
THINKING = {"type": "thinking", "thinking": "hm"}


def read(messages: list[Any], **fields: Any) -> Question:
    """Return the question of a body with these messages."""
    return question_from({"messages": messages, **fields})


def sent(question: Question) -> list[dict[str, Any]]:
    """Return the messages that are sent to the model."""
    assert question.passthrough
    return [message.wire() for message in question.passthrough.messages]


@pytest.mark.parametrize(
    ("turn", "goes_out", "fitted"),
    [
        ({"role": "developer", "content": "Be exact."}, [{"role": "system", "content": "Be exact."}], []),
        (
            {"role": "user", "content": [{"type": "text", "text": "add", **CACHE}]},
            [{"role": "user", "content": [{"type": "text", "text": "add"}]}],
            ["messages: cache_control dropped"],
        ),
        ({"role": "user", "content": [IMAGE | CACHE]}, [{"role": "user", "content": [IMAGE]}], ["cache_control"]),
        ({"role": "assistant", "content": None}, [], ["without content"]),
        ({"role": "assistant", "content": []}, [], ["without content"]),
        ({"role": "assistant", "content": "", "tool_calls": []}, [], ["without content"]),
        ({"role": "assistant", "refusal": "no"}, [], ["refusal", "without content"]),
        ({"role": "system", "content": " "}, [], ["without content"]),
        ({"role": "user", "content": [{"type": "text", "text": None}]}, [], ["without content"]),
        (
            {"role": "assistant", "content": "2", "reasoning": "1+1", "reasoning_content": "1+1", "audio": None},
            [{"role": "assistant", "content": "2", "reasoning": "1+1"}],
            ["messages: reasoning_content dropped"],
        ),
        (
            {"role": "assistant", "content": "2", "reasoning": {"text": "x"}},
            [{"role": "assistant", "content": "2"}],
            ["r"],
        ),
        (
            {"role": "assistant", "content": [THINKING, {"type": "text", "text": "2"}]},
            [{"role": "assistant", "content": [{"type": "text", "text": "2"}]}],
            ["messages: a part that is neither text nor image dropped"],
        ),
        (
            {"role": "user", "content": "add", "tool_calls": [], "id": "m1", "my prompt": "x"},
            [ASK],
            ["messages: id dropped", "messages: a field dropped"],
        ),
        (
            {"role": "assistant", "content": [], "tool_calls": [{**CALL, "index": None, "extra_content": {"a": 1}}]},
            [CALLED],
            ["messages: extra_content dropped"],
        ),
    ],
)
def test_unknown_fields_of_messages_are_removed(turn: Any, goes_out: list[Any], fitted: list[str]) -> None:
    """The API would answer them with 400. Null values are removed without a note."""
    question = read([turn, ASK, CALLED, RESULT])
    assert sent(question) == [*goes_out, ASK, CALLED, RESULT]
    assert len(question.fitted) == len(fitted)
    assert all(part in line for part, line in zip(fitted, question.fitted, strict=True))


@pytest.mark.parametrize("content", [{}, {"content": None}, {"content": []}])
def test_a_tool_result_without_content_is_sent_as_empty(content: dict[str, Any]) -> None:
    """A tool call needs its result, so the message cannot be left out."""
    result = {"role": "tool", "tool_call_id": "c1"}
    assert sent(read([ASK, CALLED, result | content]))[-1] == {**result, "content": ""}


def test_unknown_fields_of_tools_are_removed() -> None:
    """Except within `parameters`, which is the client's own JSON schema."""
    function = {**TOOL["function"], "strict": None, "description": None, "examples": ["x"]}  # type: ignore[dict-item]
    choice = {"type": "function", "function": {"name": "add", "strict": True}}
    tools = [{"type": "function", "function": function, **CACHE}]
    question = question_from({"messages": [ASK], "tools": tools, "tool_choice": choice}, plan=False)
    assert question.passthrough
    assert question.passthrough.options == {
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "add"}},
    }
    assert question.fitted == ("tools: cache_control dropped", "tools: examples dropped", "tool_choice: strict dropped")


@pytest.mark.parametrize(
    ("messages", "fields", "param"),
    [
        ([ASK, {"role": "user", "content": ""}], {"tools": [TOOL]}, "messages[1].content"),
        ([{"role": "assistant", "content": ""}], {"tools": [TOOL]}, "messages"),
        ([{"role": "user", "content": [{"type": "text", "content": "x"}]}], {}, "messages[0].content"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], {}, "messages[0].content"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], {}, "messages[0].content.image_url"),
        ([ASK, CALLED, {"role": "tool", "content": "2"}], {}, "messages[2].tool_call_id"),
        ([ASK, {"role": "assistant", "tool_calls": [{**CALL, "id": None}]}], {}, "messages[1].tool_calls[0].id"),
        ([ASK, {"role": "assistant", "tool_calls": [{**CALL, "type": "x"}]}], {}, "messages[1].tool_calls[0].type"),
        ([ASK], {"tools": [{"type": "web_search"}]}, "tools[0].function"),
        ([ASK], {"tools": [{"type": "function", "function": {"name": 5}}]}, "tools[0].function.name"),
        ([ASK], {"tools": [TOOL], "tool_choice": "any"}, "tool_choice"),
        ([ASK], {"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice.function"),
    ],
)
def test_invalid_messages_and_tools_are_refused(messages: Any, fields: Any, param: str) -> None:
    """Whatever cannot be removed without changing the question; `param` is its path."""
    with pytest.raises(BadRequest) as caught:
        read(messages, **fields)
    assert caught.value.param == param
    assert "\n" not in caught.value.message


def test_removed_fields_are_listed_for_planned_requests(ask: Any, api: Simulator) -> None:
    """The same notes as for requests that are passed through."""
    turns = [{"role": "system", "content": ""}, {"role": "user", "content": "Why?", "name": "jo", **CACHE}]
    reply = ask(question=None, messages=turns, cepo_cerebras_effort="none").get_json()
    assert api.chat_calls[0].body["messages"] == [{"role": "user", "content": "Why?"}]
    assert reply["cepo_cerebras"]["fitted"] == [
        "messages: cache_control dropped",
        "messages: turns without content left out",
        "messages: name dropped",
    ]


def test_removed_fields_are_listed_for_requests_with_tools(ask: Any, api: Simulator) -> None:
    """In `fitted`, beside the reply of the one call."""
    messages = [{"role": "developer", "content": "Be exact."}, ASK | CACHE, CALLED, RESULT | {"content": None}]
    tools = [{**TOOL, "function": {**TOOL["function"], "strict": None}}]  # type: ignore[dict-item]
    reply = ask(question=None, messages=messages, tools=tools)
    assert reply.status_code == 200
    assert reply.get_json()["cepo_cerebras"]["fitted"] == ["messages: cache_control dropped"]
    (call,) = api.chat_calls
    assert call.body["messages"][0] == {"role": "system", "content": "Be exact."}


@pytest.mark.parametrize("role", ["user", "tool"])
def test_a_part_with_a_null_text_is_accepted(ask: Any, api: Simulator, role: str) -> None:
    """OptiLLM joins the texts of a conversation before it calls a plugin."""
    empty = {"role": role, "tool_call_id": "c1", "content": [{"type": "text", "text": None}]}
    assert ask(question=None, messages=[CALLED, empty, ASK]).status_code == 200
    assert len(api.chat_calls) == 1


def test_the_list_of_removed_fields_is_bounded() -> None:
    """However many unknown fields there are; names that may be a text or a key are not shown."""
    junk = {f"field_{'x' * index}": 1 for index in range(25)} | {"csk-0123456789abcdef": 1}
    lines = read([ASK | junk]).fitted
    assert len(lines) == 20
    assert "csk" not in str(lines)


EXTRA = st.sampled_from(
    ["cache_control", "reasoning_content", "refusal", "annotations", "id", "index", "strict", "x y"]
)
JUNK: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.just([]) | st.just({"type": "ephemeral"})
)


Known = dict[str, st.SearchStrategy[Any]]


def objects(required: Known, optional: Known) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects with these fields, optional ones sometimes null or missing, and unknown ones."""
    known = st.fixed_dictionaries(
        required, optional={name: st.none() | optional[name] for name in optional.keys() - required.keys()}
    )
    return st.builds(lambda extra, known: extra | known, st.dictionaries(EXTRA, JUNK, max_size=2), known)


TEXTS = st.sampled_from(["", " ", "add", "2"])
PART = objects({"type": st.just("text"), "text": TEXTS | st.none()}, {}) | st.just(IMAGE | CACHE)
CONTENT = TEXTS | st.lists(PART, max_size=3)
FUNCTION_CALLS = objects({"name": st.just("add"), "arguments": TEXTS}, {})
CALLS = objects({"id": TEXTS, "type": st.just("function"), "function": FUNCTION_CALLS}, {"index": st.just(0)})
# Each field of a turn also where it does not belong.
OF_A_TURN = {
    "content": CONTENT,
    "name": TEXTS,
    "tool_call_id": TEXTS,
    "tool_calls": st.lists(CALLS, max_size=2),
    "reasoning": CONTENT,
}
TURN = st.one_of(
    objects({"role": st.sampled_from(["system", "developer", "user", "assistant"])}, OF_A_TURN),
    objects({"role": st.just("assistant"), "content": st.lists(PART | st.just(THINKING), max_size=2)}, OF_A_TURN),
    objects({"role": st.just("tool"), "tool_call_id": TEXTS}, {"content": CONTENT, "tool_calls": CONTENT}),
)
TURNS = st.builds(
    lambda turns, last: [*turns, *last], st.lists(TURN, max_size=4), st.sampled_from([[], [ASK], [RESULT]])
)
FUNCTIONS = objects({"name": TEXTS}, {"description": TEXTS, "parameters": st.just(FREE), "strict": st.booleans()})
TOOLS = objects({"type": st.just("function"), "function": FUNCTIONS}, {})
CHOICES = st.sampled_from([None, "none", "auto", "required", ""]) | TOOLS


def without_images(message: dict[str, Any]) -> dict[str, Any]:
    """Return the message with a text in place of each image: no model of the simulator accepts images."""
    content = message.get("content")
    if not isinstance(content, list):
        return message
    return {**message, "content": [{"type": "text", "text": "?"} if part == IMAGE else part for part in content]}


@given(TURNS, st.none() | st.lists(TOOLS, max_size=2), CHOICES)
def test_the_api_accepts_what_is_not_refused(messages: Any, tools: Any, choice: Any) -> None:
    """Any mixture of roles, nulls and unknown fields; `fitted` contains short notes without the client's text."""
    try:
        question = read(messages, tools=tools, tool_choice=choice, parallel_tool_calls=None)
    except BadRequest:
        return
    assert all(re.fullmatch(r"(messages|tools|tool_choice): [\w ,]{1,50}", line) for line in question.fitted)
    if question.passthrough:
        body = {"messages": list(map(without_images, sent(question))), **question.passthrough.options, "model": "m"}
        ChatCompletionServerRequest.model_validate(body)
