"""Parsing refusals: the field, whether the field or its value is refused, and words that are not field names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.llm.unsupported_params import RefusedParam, refused_params

SENT: dict[str, Any] = {
    "temperature": 1.8,
    "top_p": 1.0,
    "seed": 2**62,
    "user": "somebody",
    "stop": ["END"],
    "max_completion_tokens": 4096,
    "response_format": {"type": "json_schema", "json_schema": {"schema": {"properties": {"temperature": {}}}}},
}
TYPED = "[type=less_than_equal, input_value='what temperature? [see seed]', input_type=str]"


@pytest.mark.parametrize(
    ("param", "text", "expected"),
    [
        # Recorded, with another field's name.
        ("", "property 'top_p' is unsupported", RefusedParam("top_p", unsupported=True)),
        (
            "validation_error",
            "1 validation error for ChatCompletionServerRequest\ntop_p\n Input should be 'low', 'medium' or 'high' "
            "[type=literal_error, input_value='x', input_type=str]",
            RefusedParam("top_p"),
        ),
        # Values.
        ("", "temperature: Input should be less than or equal to 1.5", RefusedParam("temperature", at_most=1.5)),
        ("temperature", f"Input should be less than or equal to 1.5 {TYPED}", RefusedParam("temperature", at_most=1.5)),
        ("", "'temperature' must be between 0 and 1.5", RefusedParam("temperature", at_least=0, at_most=1.5)),
        ("seed", "seed must be at most 4294967295", RefusedParam("seed", at_most=4294967295)),
        (
            "temperature",
            "Unsupported value: 'temperature' does not support 1.8 with this model. Only the default (1) value is "
            "supported.",
            RefusedParam("temperature"),
        ),
        (
            "",
            "max_tokens: Input should be less than or equal to 512",
            RefusedParam("max_completion_tokens", at_most=512),
        ),
        ("stop.0", "Extra inputs are not permitted", RefusedParam("stop")),
        # Fields.
        ("", "Unsupported parameter: 'seed' is not supported with this model.", RefusedParam("seed", unsupported=True)),
        ("body.seed", "Extra inputs are not permitted", RefusedParam("seed", unsupported=True)),
        ("", "Unknown field `user`", RefusedParam("user", unsupported=True)),
        # Prose names a field only where nothing else does, and then nothing is learnt.
        ("", "this model takes no seed, it is unsupported", RefusedParam("seed")),
    ],
)
def test_refusal_names_one_field(param: str, text: str, expected: RefusedParam) -> None:
    """And says whether the field is unsupported, or which values are allowed."""
    assert refused_params(param, text, SENT) == (expected,)


def test_key_within_a_field_is_not_a_field() -> None:
    """A schema may have a property called temperature."""
    for text in (
        "response_format.json_schema.schema.properties.temperature: a list is not allowed under 'type'",
        "Invalid schema for 'response_format': in 'properties', 'temperature', 'type' is required",
    ):
        (refused,) = refused_params("", text, SENT)
        assert (refused.name, refused.unsupported) == ("response_format", False)


@pytest.mark.parametrize(
    ("param", "text"),
    [
        ("", ""),
        ("messages", "the temperature of water"),
        ("", "property 'messages.2.assistant.reasoning_content' is unsupported"),
        ("", "messages.0.content: what temperature?"),
        ("", "property 'top_k' is unsupported"),
        ("", f"messages\n Input should be a list {TYPED}"),
    ],
)
def test_refusal_of_something_else_names_no_field(param: str, text: str) -> None:
    """The quoted input is ignored: it may be any text."""
    assert refused_params(param, text, SENT) == ()


def test_several_fields_are_parsed_separately() -> None:
    """Pydantic lists all errors, one after another."""
    text = (
        "2 validation errors for ChatCompletionServerRequest\n"
        f"temperature\n Input should be less than or equal to 1.5 {TYPED}\n"
        "body.seed\n Extra inputs are not permitted [type=extra_forbidden, input_value=7, input_type=int]"
    )
    assert refused_params("validation_error", text, SENT) == (
        RefusedParam("temperature", at_most=1.5),
        RefusedParam("seed", unsupported=True),
    )


@pytest.mark.parametrize(("value", "clamped"), [(1.8, 1.5), (1.5, None), (0.2, 0.5), (1.0, None), (3, 1.5)])
def test_number_is_clamped_to_the_nearest_allowed(value: float, clamped: float | None) -> None:
    """A number that violates no bound has none: the refusal is about something else."""
    assert RefusedParam("temperature", at_least=0.5, at_most=1.5).clamped(value) == clamped


def test_integer_stays_an_integer() -> None:
    """The API would refuse 512.0."""
    clamped = RefusedParam("max_completion_tokens", at_most=512.0).clamped(4096)
    assert (clamped, type(clamped)) == (512, int)


@given(st.text(), st.text())
def test_any_text_can_be_parsed(param: str, text: str) -> None:
    """Nothing is raised, and only sent fields are named, each once."""
    names = [refused.name for refused in refused_params(param, text, SENT)]
    assert set(names) <= SENT.keys()
    assert len(set(names)) == len(names)
