"""Schemas of clients: which are used, which are refused, and what of them is checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.response_format import RequestedFormat

SCHEMA = "https://json-schema.org/draft/2020-12/schema"
RUNAWAY = "^(a+)+$"


def form(schema: Mapping[str, Any]) -> RequestedFormat:
    """The form that a schema asks for."""
    return RequestedFormat({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}})


def test_patterns_are_not_checked_nor_what_depends_on_them() -> None:
    """What a pattern may allow is not refused; beside none, the keyword counts."""
    patterned = {"patternProperties": {"^x": {}}, "additionalProperties": False}
    assert form(patterned).problem('{"y": 1}') is None
    assert form({"pattern": "(?<ecma>\\p{L}"}).problem('"y"') is None
    inner = form({"properties": {"a": patterned}, "additionalProperties": False})
    assert inner.problem('{"y": 1}') == '$: may not have "y"'


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "text"},
        {"type": 12},
        {"properties": []},
        {"minimum": "low"},
        {"$schema": 5},
        {"$schema": "http://[", "type": "string"},
        {"const": float("nan")},
        {"const": ...},  # no JSON, and of one name in every process
        {"$ref": "https://example.com/secret.json"},
        {"$ref": "file:///etc/secret"},
        {"$ref": SCHEMA},
        {"$ref": "#/$defs/secret"},
        {"$ref": "#secret"},
        {"properties": {"secret": {"$ref": "#/properties/other"}}},
        {"$ref": "#/title", "title": "secret"},
        {"$ref": "#/secret", "secret": {"type": 12}},
        {"$ref": "#/allOf/secret", "allOf": [{}]},
        {"properties": {"secret": {"$schema": SCHEMA, "pattern": RUNAWAY}}},
        {"description": "secret" * 20_000},
    ],
    ids=lambda schema: str(schema)[:40],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, Any]) -> None:
    """When the request comes in, in one line that quotes nothing of it."""
    with pytest.raises(BadRequest) as caught:
        form(schema)
    assert caught.value.param == "response_format"
    assert len(caught.value.message.splitlines()) == 1
    assert "secret" not in caught.value.message


def test_a_schema_of_great_depth_is_refused() -> None:
    """Not a RecursionError."""
    schema: dict[str, Any] = {}
    for _ in range(2000):
        schema = {"items": schema}
    with pytest.raises(BadRequest, match="nested too deeply"):
        form(schema)


def test_references_within_a_schema_work() -> None:
    """By pointer, by anchor, by an $id of its own, and to itself; a property may be called $ref or $schema."""
    schema = {
        "$id": "https://example.com/answer",
        "$defs": {"a": {"$anchor": "count", "type": "integer"}, "b": {"$id": "inner", "type": "string"}},
        "properties": {
            "pointer": {"$ref": "#/$defs/a"},
            "anchor": {"$ref": "#count"},
            "id": {"$ref": "inner"},
            "$ref": {"type": "boolean"},
            "$schema": {"type": "boolean"},
            "self": {"$ref": "#"},
        },
    }
    asked = form(schema)
    assert asked.problem('{"pointer": 1, "anchor": 2, "id": "x", "$ref": true, "$schema": true, "self": {}}') is None
    for wrong in ('{"pointer": "1"}', '{"anchor": "1"}', '{"id": 1}', '{"$ref": 1}', '{"$schema": 1}'):
        assert asked.problem(wrong) is not None
        assert asked.problem(f'{{"self": {wrong}}}') is not None


def test_a_later_change_of_the_schema_changes_nothing() -> None:
    """The form has its own copy, and no field of the client's is changed."""
    schema: dict[str, Any] = {"$schema": SCHEMA, "type": "string"}
    asked = form(schema)
    assert schema == {"$schema": SCHEMA, "type": "string"}
    schema["type"] = "null"
    assert asked.problem('"a"') is None
