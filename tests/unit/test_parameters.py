"""Parameters: OpenAI's fields with their ranges, and one clear line for each that cannot be."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.chat import Parameters
from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host.parameters import parameters_from
from optillm_cerebras_cepo.simulator.schema import JsonSchemaFormat

SCHEMA = {"type": "json_schema", "json_schema": {"name": "pair", "schema": {"type": "object"}}}
LOGPROBS = "logprobs are not available: the answer is chosen among several replies"
FORMAT = "response_format must be an object whose type is text, json_object or json_schema"
STOP = "stop must be a string or a list of at most 4 strings"
BIAS = "logit_bias must be an object of numbers from -100 to 100 by token id"
NAN, INFINITE = float("nan"), float("inf")

NAMES = [
    *("max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed", "response_format", "user", "n"),
    *("frequency_penalty", "presence_penalty", "logit_bias", "stream", "stream_options", "logprobs", "top_logprobs"),
    *("audio", "modalities", "functions", "function_call"),
]
# Words that mean something somewhere, so that junk gets past the first check.
WORDS = st.sampled_from(
    [*("type", "text", "json_object", "json_schema", "schema", "name", "strict", "include_usage", "1", "²"), *NAMES]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, Parameters()),
        (dict.fromkeys(NAMES), Parameters()),
        ({"messages": 1, "model": 2, "tools": 3, "store": "x", "cepo_cerebras_effort": "low"}, Parameters()),
        ({"max_tokens": 5}, Parameters(max_tokens=5)),
        ({"max_completion_tokens": 7}, Parameters(max_tokens=7)),
        ({"max_tokens": 5, "max_completion_tokens": 7}, Parameters(max_tokens=7)),
        ({"max_tokens": 5, "max_completion_tokens": None}, Parameters(max_tokens=5)),
        ({"temperature": 0, "top_p": 1}, Parameters(temperature=0.0, top_p=1.0)),
        ({"temperature": 2.0, "top_p": 0}, Parameters(temperature=2.0, top_p=0.0)),
        ({"stop": "END"}, Parameters(stop=("END",))),
        ({"stop": ["a", "b", "c", "\n"]}, Parameters(stop=("a", "b", "c", "\n"))),
        ({"stop": []}, Parameters()),
        ({"seed": -(2**63)}, Parameters(seed=-(2**63))),
        ({"seed": 0}, Parameters(seed=0)),
        ({"response_format": {"type": "text"}}, Parameters()),
        ({"response_format": {"type": "json_object"}}, Parameters(response_format={"type": "json_object"})),
        ({"response_format": SCHEMA}, Parameters(response_format=SCHEMA)),
        ({"user": "me"}, Parameters(user="me")),
        ({"prompt_cache_key": "k" * 1024}, Parameters(prompt_cache_key="k" * 1024)),
        ({"n": 8}, Parameters(n=8)),
        ({"frequency_penalty": -2}, Parameters(frequency_penalty=-2.0)),
        ({"presence_penalty": 2}, Parameters(presence_penalty=2.0)),
        ({"logit_bias": {"50256": -100, "7": 0.5}}, Parameters(logit_bias={"50256": -100, "7": 0.5})),
        ({"stream": True}, Parameters(stream=True)),
        ({"stream": True, "stream_options": {}}, Parameters(stream=True)),
        ({"stream": True, "stream_options": {"include_usage": None}}, Parameters(stream=True)),
        ({"stream": True, "stream_options": {"include_usage": True}}, Parameters(stream=True, include_usage=True)),
        ({"stop": ["", "END"]}, Parameters(stop=("END",))),
    ],
)
def test_what_is_given_is_read(body: dict[str, Any], expected: Parameters) -> None:
    """Null is not given, and fields of others are left alone."""
    assert parameters_from(body) == expected


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_tokens", 0, "max_tokens must be an integer of at least 1"),
        ("max_tokens", True, "max_tokens must be an integer of at least 1"),
        ("max_completion_tokens", 1.0, "max_completion_tokens must be an integer of at least 1"),
        ("temperature", 2.1, "temperature must be a number from 0 to 2"),
        ("temperature", NAN, "temperature must be a number from 0 to 2"),
        ("temperature", True, "temperature must be a number from 0 to 2"),
        ("temperature", "1", "temperature must be a number from 0 to 2"),
        ("top_p", -0.1, "top_p must be a number from 0 to 1"),
        ("top_p", INFINITE, "top_p must be a number from 0 to 1"),
        ("top_p", 10**400, "top_p must be a number from 0 to 1"),
        ("stop", 1, STOP),
        ("stop", ["a", None], STOP),
        ("stop", list("abcde"), STOP),
        ("stop", {"a": 1}, STOP),
        ("seed", 1.5, f"seed must be an integer from {-(2**63)} to {2**63 - 1}"),
        ("seed", 2**63, f"seed must be an integer from {-(2**63)} to {2**63 - 1}"),
        ("user", 5, "user must be a string"),
        ("prompt_cache_key", 5, "prompt_cache_key must be a string of at most 1,024 characters"),
        ("prompt_cache_key", "k" * 1025, "prompt_cache_key must be a string of at most 1,024 characters"),
        ("n", 0, "n must be an integer from 1 to 8"),
        ("n", 9, "n must be an integer from 1 to 8"),
        ("n", True, "n must be an integer from 1 to 8"),
        ("frequency_penalty", -2.5, "frequency_penalty must be a number from -2 to 2"),
        ("presence_penalty", [], "presence_penalty must be a number from -2 to 2"),
        ("logit_bias", [], BIAS),
        ("logit_bias", {"word": 1}, BIAS),
        ("logit_bias", {"²": 1}, BIAS),
        ("logit_bias", {"5": 101}, BIAS),
        ("logit_bias", {"5": NAN}, BIAS),
        ("logit_bias", {"5": None}, BIAS),
        ("stream", 1, "stream must be true or false"),
        ("stream_options", [], "stream_options must be an object"),
        ("stream_options", {"include_usage": True}, "stream_options is allowed only with stream: true"),
        ("response_format", "json_object", FORMAT),
        ("response_format", {"json_schema": {}}, FORMAT),
        ("response_format", {"type": ["text"]}, FORMAT),
        ("response_format", {"type": "grammar"}, FORMAT),
        ("response_format", {"type": "json_schema"}, "response_format.json_schema must be an object"),
        (
            "response_format",
            {"type": "json_schema", "json_schema": {"name": "a"}},
            "response_format.json_schema.schema must be an object",
        ),
        (
            "response_format",
            {"type": "json_schema", "json_schema": {"schema": {}, "name": 1}},
            "response_format.json_schema.name must be a string",
        ),
        (
            "response_format",
            {"type": "json_schema", "json_schema": {"schema": {}, "strict": 1}},
            "response_format.json_schema.strict must be true or false",
        ),
        ("logprobs", True, LOGPROBS),
        ("logprobs", 1, "logprobs must be true or false"),
        ("top_logprobs", 2, LOGPROBS),
        ("top_logprobs", [], LOGPROBS),
        ("audio", {"voice": "alloy"}, "audio is not available: answers are text"),
        ("modalities", ["text", "audio"], 'modalities must be ["text"]: answers are text'),
        ("functions", [{"name": "add"}], "functions is deprecated; send tools instead"),
        ("function_call", {"name": "add"}, "function_call is deprecated; send tools and tool_choice instead"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(field: str, value: object, message: str) -> None:
    """With the field as `param`, and a 400."""
    with pytest.raises(BadRequest) as caught:
        parameters_from({field: value})
    assert (caught.value.param, caught.value.message, caught.value.status) == (field, message, 400)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 1),
        ("stop", []),
        ("stop", ""),
        ("stop", [""]),
        ("logit_bias", {}),
        ("response_format", {}),
        ("user", ""),
        ("stream", False),
        ("stream_options", {}),
        ("stream_options", {"include_usage": False}),
        ("stream_options", {"include_usage": None, "include_obfuscation": False}),
        ("logprobs", False),
        ("top_logprobs", 0),
        ("audio", {}),
        ("audio", False),
        ("modalities", []),
        ("modalities", ["text"]),
        ("functions", []),
        ("function_call", "none"),
        ("function_call", "auto"),
        ("function_call", ""),
    ],
)
def test_a_value_that_asks_for_nothing_is_no_error(field: str, value: object) -> None:
    """It counts as a field that is not given: many clients send every field they know."""
    assert parameters_from({field: value}) == Parameters()


@pytest.mark.parametrize("value", [0, "true", []])
def test_include_usage_is_true_or_false(value: object) -> None:
    """The field at fault is the one of the body's own."""
    with pytest.raises(BadRequest, match=r"stream_options\.include_usage must be true or false") as caught:
        parameters_from({"stream": True, "stream_options": {"include_usage": value}})
    assert caught.value.param == "stream_options"


def test_a_wrong_older_limit_is_refused_beside_a_newer_one() -> None:
    """What loses is still looked at."""
    with pytest.raises(BadRequest) as caught:
        parameters_from({"max_tokens": "many", "max_completion_tokens": 5})
    assert caught.value.param == "max_tokens"


@given(st.dictionaries(st.sampled_from(NAMES), JSON, min_size=1, max_size=3))
def test_any_json_is_read_or_refused(body: dict[str, Any]) -> None:
    """Nothing else is ever raised, and the fault is put down to a field that is there."""
    error = fault(body)
    assert error is None or (error.param in body and error.message and "\n" not in error.message)


def fault(body: dict[str, Any]) -> BadRequest | None:
    """What a body is refused with, if it is."""
    try:
        parameters_from(body)
    except BadRequest as error:
        return error
    return None


@given(JSON)
def test_a_schema_goes_on_as_it_was_sent_and_nothing_that_the_api_refuses(junk: object) -> None:
    """The schema is the client's own; a made-up field beside it, or a null, would cost the whole format."""
    sent = {"name": "pair", "schema": {"description": junk, "strict": None}}
    around = {"strict": None, "description": None, "more": junk}
    made = parameters_from({"response_format": {**SCHEMA, "json_schema": sent | around, "more": junk}})
    assert json.dumps(made.response_format) == json.dumps({**SCHEMA, "json_schema": sent})
    assert made.fitted == (("response_format: more dropped",) if junk else ())


def test_a_json_object_has_no_further_fields() -> None:
    """Other APIs take a schema beside it; this one answers 400."""
    made = parameters_from({"response_format": {"type": "json_object", "schema": {"type": "object"}}})
    dropped = ("response_format: schema dropped",)
    assert made == Parameters(response_format={"type": "json_object"}, fitted=dropped)


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ({"name": "pair", "schema": {"title": "Other"}}, "pair"),
        ({"schema": {"title": "Pair-of_2"}}, "Pair-of_2"),
        ({"name": None, "schema": {"title": "x" * 64}}, "x" * 64),
        ({"schema": {"title": "x" * 65}}, "answer"),
        ({"schema": {"title": "A pair"}}, "answer"),
        ({"schema": {"title": "pair\n"}}, "answer"),
        ({"schema": {"title": 5}}, "answer"),
        ({"name": "", "schema": {}}, "answer"),
        ({"name": "Page[Item]", "schema": {"title": "Page"}}, "Page"),
    ],
)
def test_a_schema_without_a_valid_name_is_given_one(sent: dict[str, Any], name: str) -> None:
    """The API refuses a json_schema without a name; the schema's title is the name that says most."""
    made = parameters_from({"response_format": {"type": "json_schema", "json_schema": sent}}).response_format
    assert made == {"type": "json_schema", "json_schema": {**sent, "name": name}}


@given(JSON, JSON)
def test_every_schema_that_is_read_has_a_name_that_the_api_accepts(name: object, title: object) -> None:
    """Whatever the client called it."""
    sent = {"type": "json_schema", "json_schema": {"name": name, "schema": {"title": title}}}
    try:
        made = parameters_from({"response_format": sent}).response_format
    except BadRequest:
        return
    assert made is not None
    JsonSchemaFormat.model_validate(made)
    assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", made["json_schema"]["name"])
