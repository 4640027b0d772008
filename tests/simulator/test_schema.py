from __future__ import annotations

import typing
from typing import Any

import pytest
from cerebras.cloud.sdk import BadRequestError, UnprocessableEntityError
from cerebras.cloud.sdk.types.chat import completion_create_params as sdk_types
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from optillm_cerebras_cepo.simulator.schema import ChatCompletionServerRequest
from simulator.conftest import Client, Start

USER = {"role": "user", "content": "hello"}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}

# On gpt-oss-120b, which takes every kind of field.
GOOD: list[dict[str, typing.Any]] = [
    {"temperature": 0},
    {"temperature": 2, "top_p": 1.0, "n": 1, "seed": 7, "user": "u", "stream": False},
    {"max_completion_tokens": 10},
    {"max_tokens": 10},
    {"max_tokens": None, "max_completion_tokens": 10},
    {"stop": "a"},
    {"stop": ["a", "b", "c", "d"]},
    {"logprobs": True, "top_logprobs": 20, "logit_bias": {"5": -100}},
    {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": False},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}},
    {"response_format": JSON_SCHEMA},
    {"response_format": {"type": "json_object"}},
    {"prediction": {"type": "content", "content": "x"}},
    {"reasoning_effort": "low", "reasoning_format": "hidden", "disable_reasoning": False, "clear_thinking": True},
    {"frequency_penalty": -2, "presence_penalty": 2, "min_tokens": -1, "min_completion_tokens": 0},
    {"stream_options": {"include_usage": True}, "service_tier": "auto", "prompt_cache_key": "k"},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "hello"}]}]},
    {"messages": [{"role": "system", "content": ""}, USER]},
    {"messages": [{"role": "system", "content": "s", "name": None}, USER]},
    {"messages": [{"role": "developer", "content": "s"}, USER]},
    {"messages": [USER, {"role": "assistant", "content": "", "reasoning": "r"}, USER]},
    {
        "messages": [
            USER,
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "content": "", "tool_call_id": "1"},
        ]
    },
]

NULLABLE = sorted(set(ChatCompletionServerRequest.model_fields) - {"messages", "model", "reasoning_format"})

UNKNOWN = [
    ({"top_k": 5}, "body.top_k"),
    ({"store": True}, "body.store"),
    ({"metadata": {}}, "body.metadata"),
    ({"maxTokens": 1}, "body.maxTokens"),
    ({"model_parameters": {}}, "body.model_parameters"),
    ({"messages": [{**USER, "weight": 1}]}, "messages.0.user.weight"),
    (
        {"messages": [USER, USER, {"role": "assistant", "content": "a", "reasoning_content": "r"}]},
        "messages.2.assistant.reasoning_content",
    ),
    ({"response_format": {"type": "json_object", "x": 1}}, "response_format.json_object.x"),
    ({"stream_options": {"x": 1}}, "stream_options.x"),
    ({"tools": [{**TOOL, "x": 1}]}, "tools.0.x"),
]

WRONG = [
    ({"max_completion_tokens": "10"}, "max_completion_tokens"),
    ({"max_completion_tokens": 10.0}, "max_completion_tokens"),
    ({"max_completion_tokens": 0}, "max_completion_tokens"),
    ({"max_tokens": True}, "max_tokens"),
    ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens and max_completion_tokens"),
    ({"temperature": "0.5"}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": -0.1}, "temperature"),
    ({"top_p": 1.5}, "top_p"),
    ({"n": 2}, "\nn\n"),
    ({"n": 0}, "\nn\n"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
    ({"stream": "true"}, "stream"),
    ({"seed": 1.5}, "seed"),
    ({"top_logprobs": 5}, "top_logprobs"),
    ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
    ({"frequency_penalty": 3}, "frequency_penalty"),
    ({"service_tier": "gold"}, "service_tier"),
    ({"reasoning_effort": "maximum"}, "reasoning_effort"),
    ({"reasoning_format": None}, "reasoning_format"),
    ({"tools": [TOOL], "response_format": {"type": "json_object"}}, "tools and response_format"),
    ({"messages": []}, "messages"),
    ({"messages": ...}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"model": ...}, "model"),
    ({"model": None}, "model"),
    ({"messages": [{"role": "user", "content": None}]}, "messages.0.user.content"),
    ({"messages": [{"role": "user", "content": []}]}, "messages.0.user.content"),
    ({"messages": [{"role": "user"}]}, "messages.0.user.content"),
    ({"messages": [{"role": "system", "content": None}, USER]}, "messages.0.system.content"),
    ({"messages": [{"role": "assistant", "content": None}]}, "messages.0.assistant"),
    ({"messages": [{"role": "assistant", "content": None, "tool_calls": []}]}, "messages.0.assistant"),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool.tool_call_id"),
    ({"messages": [{"role": "function", "content": "x"}]}, "function"),
    ({"messages": [{"content": "x"}]}, "role"),
]


@pytest.mark.parametrize("fields", GOOD)
def test_documented_fields_are_accepted(shared: Client, fields: dict[str, Any]) -> None:
    """All fields of the schema, with integers for floats too."""
    answer = shared.post(model="gpt-oss-120b", **fields)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("field", NULLABLE)
def test_null_is_accepted_for_optional_fields(shared: Client, field: str) -> None:
    """The SDK sends an explicit None as null, also for models that do not support the field."""
    null: dict[str, Any] = {field: None}
    assert shared.create(**null).choices[0].finish_reason == "stop"


@pytest.mark.parametrize(("fields", "path"), UNKNOWN)
def test_unknown_fields_are_refused(shared: Client, fields: dict[str, Any], path: str) -> None:
    """With the recorded text, at every depth."""
    answer = shared.post(**fields)
    assert answer.status_code == 400
    assert answer.json() == {
        "message": f"{path}: property '{path}' is unsupported",
        "type": "invalid_request_error",
        "param": "validation_error",
        "code": "wrong_api_format",
    }


def test_each_unknown_field_has_a_line(shared: Client) -> None:
    """In the message, as recorded."""
    assert shared.post(top_k=1, store=True).json()["message"].splitlines() == [
        "body.top_k: property 'body.top_k' is unsupported",
        "body.store: property 'body.store' is unsupported",
    ]


@pytest.mark.parametrize(("fields", "named"), WRONG)
def test_wrong_values_are_refused(shared: Client, fields: dict[str, Any], named: Any) -> None:
    """In the recorded format, with an explanation that names the field."""
    answer = shared.post(**fields)
    body = answer.json()
    assert answer.status_code == 400
    assert named in body.pop("message")
    assert body == {"type": "invalid_request_error", "param": "validation_error", "code": "wrong_api_format", "id": ""}


def test_validation_errors_have_the_recorded_format(shared: Client) -> None:
    """Number of errors, path, one space, explanation."""
    message = shared.post(temperature=3, n=2).json()["message"].splitlines()
    assert message[0] == "2 validation errors for ChatCompletionServerRequest"
    assert message[3] == "temperature"
    assert message[4].startswith(" Input should be less than or equal to 2 [type=less_than_equal, input_value=3")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b'{"temperature": NaN}', b"\xff", b"[" * 100_000])
def test_bodies_other_than_json_objects_are_refused(shared: Client, content: bytes) -> None:
    """With 400 in the API's format."""
    answer = shared.http.post("/v1/chat/completions", content=content)
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_api_format")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_are_not_json_are_refused(shared: Client, constant: str) -> None:
    """Python's parser would accept them, also in fields that accept any value."""
    tool = f'{{"type": "function", "function": {{"name": "f", "parameters": {{"x": {constant}}}}}}}'
    content = f'{{"model": "llama-3.3-70b", "messages": [{{"role": "user", "content": "x"}}], "tools": [{tool}]}}'
    assert shared.http.post("/v1/chat/completions", content=content).status_code == 400
    assert shared.http.post("/v1/chat/completions", content=content.replace(constant, "1")).status_code == 200


@pytest.mark.parametrize("model", ["llama-3.3-70b", "llama3.1-8b", "qwen-3-235b-a22b-instruct-2507"])
@pytest.mark.parametrize("effort", ["none", "low", "medium", "high"])
def test_models_without_reasoning_refuse_an_effort(shared: Client, model: str, effort: str) -> None:
    """The message names the field; the body for `none` is recorded."""
    with pytest.raises(BadRequestError, match="reasoning_effort") as caught:
        shared.create(model=model, reasoning_effort=effort)
    if effort == "none":
        assert caught.value.body == {
            "message": "1 validation error for ChatCompletionServerRequest\nreasoning_effort\n"
            " Input should be 'low', 'medium' or 'high' [type=enum, input_value='none', input_type=str]\n"
            " For further information visit https://errors.pydantic.dev/2.8/v/enum",
            "type": "invalid_request_error",
            "param": "validation_error",
            "code": "wrong_api_format",
            "id": "",
        }


@pytest.mark.parametrize(
    ("model", "effort", "status"),
    [
        ("gpt-oss-120b", "none", 400),
        ("gpt-oss-120b", "low", 200),
        ("gpt-oss-120b", "high", 200),
        ("qwen-3.8-27b", "none", 200),
        ("qwen-3.8-27b", "medium", 200),
    ],
)
def test_efforts_are_those_of_the_model(shared: Client, model: str, effort: str, status: int) -> None:
    """Each reasoning model accepts its own levels."""
    assert shared.post(model=model, reasoning_effort=effort).status_code == status


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ("llama-3.3-70b", 200),
        ("gpt-oss-120b", 200),
        ("qwen-3.8-27b", 400),
        ("qwen-3-235b-a22b-instruct-2507", 400),
        ("gemma-4-31b", 400),
    ],
)
def test_qwen_and_gemma_refuse_prediction(started: Start, model: str, status: int) -> None:
    """As documented for each model."""
    client = started(models=(model,))
    assert client.post(model=model, prediction={"type": "content", "content": "x"}).status_code == status


def test_developer_role_is_for_openai_models(shared: Client) -> None:
    """Other models refuse it."""
    assert shared.post(messages=[{"role": "developer", "content": "x"}, USER]).status_code == 400


def test_output_above_the_models_maximum_is_refused(shared: Client) -> None:
    """It is not reduced silently."""
    assert shared.post(model="llama3.1-8b", max_completion_tokens=8_192).status_code == 200
    assert shared.post(model="llama3.1-8b", max_completion_tokens=8_193).status_code == 400


def test_validation_status_is_an_option(started: Start) -> None:
    """Before 2026-04-24 it was 422."""
    client = started(validation_status=422)
    with pytest.raises(UnprocessableEntityError):
        client.create(temperature=3)
    assert client.post(top_k=1).status_code == 422
    assert client.post(reasoning_effort="high").status_code == 422
    assert client.http.post("/v1/chat/completions", content=b"{").status_code == 422


def test_schema_has_the_fields_of_the_sdk() -> None:
    """All fields that the SDK can send, except `model_parameters`, which no simulated model has."""
    headers = {"cf_ray", "x_amz_cf_id", "x_delay_time"}
    known = set(typing.get_type_hints(sdk_types.CompletionCreateParams)) - headers - {"model_parameters"}
    assert set(ChatCompletionServerRequest.model_fields) == known


@given(st.text(min_size=1).filter(lambda name: name not in ChatCompletionServerRequest.model_fields), st.none())
def test_any_unknown_field_is_refused(name: str, value: Any) -> None:
    """Even with the value null."""
    with pytest.raises(ValidationError) as caught:
        ChatCompletionServerRequest.model_validate({"model": "m", "messages": [USER], name: value})
    assert [error["type"] for error in caught.value.errors()] == ["extra_forbidden"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(ChatCompletionServerRequest.model_fields)), json_values, max_size=4))
def test_any_json_is_accepted_or_refused(fields: dict[str, Any]) -> None:
    """No value causes another error, and no value is converted."""
    body = {"model": "m", "messages": [USER], **fields}
    try:
        request = ChatCompletionServerRequest.model_validate(body)
    except ValidationError:
        return
    sent = request.model_dump(exclude_unset=True, by_alias=True)
    assert {name: sent[name] for name in fields} == fields


def test_scalar_types_are_not_converted() -> None:
    """A float with an integral value is not an integer."""
    with pytest.raises(ValidationError):
        ChatCompletionServerRequest.model_validate({"model": "m", "messages": [USER], "seed": 1.0})
