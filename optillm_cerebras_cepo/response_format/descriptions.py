"""Describe what is wrong with an answer, in one short line for a model and a person."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

LINE = 200  # characters of a line
NAME = 40  # characters of a key in it
VALUE = 60  # characters of a value in it

BOUNDS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters long",
    "maxLength": "at most {} characters long",
    "minItems": "at least {} items long",
    "maxItems": "at most {} items long",
    "minProperties": "an object of at least {} properties",
    "maxProperties": "an object of at most {} properties",
    "const": "{}",
}
KINDS = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", int: "an integer", float: "a number"}


def one_line(what: str, at: Iterable[str | int] | None = None) -> str:
    """Return one line of at most 200 characters; `at` is the path of keys and indexes that it is about."""
    whole = what if at is None else f"{json_path(at)}: {what}"
    return _cut(" ".join(whole.encode("utf-8", "replace").decode().splitlines()), LINE)


def json_path(steps: Iterable[str | int]) -> str:
    """Return a JSON path, such as `$.items[0].name`."""
    return "$" + "".join(map(_step, steps))


def quoted_key(key: str) -> str:
    """Return a key of an object, in quotes and shortened."""
    return json.dumps(_cut(key, NAME))


def type_name(value: object) -> str:
    """Return the JSON type of a value, with its article."""
    return KINDS.get(type(value), "null")


def describe_error(error: Any) -> str:
    """Describe an error of the jsonschema library, whose own message quotes the whole value."""
    keyword, wanted, value = error.validator, error.validator_value, error.instance
    match keyword:
        case None:  # the schema `false`, of which the library does not say where it is
            what = f"has {type_name(value)} where nothing may stand"
        case "type" if isinstance(wanted, str):
            what = f"must be of type {wanted}, not {type_name(value)}"
        case "type":
            types = " or ".join(kind_ for kind_ in wanted if isinstance(kind_, str))
            what = f"must be of type {types}, not {type_name(value)}"
        case "required" if isinstance(wanted, list):
            what = f"lacks {_names(key for key in wanted if key not in value)}"
        case "additionalProperties" if isinstance(value, dict):
            known = error.schema.get("properties", {})
            what = f"may not have {_names(key for key in value if key not in known)}"
        case "enum":
            what = f"must be one of {', '.join(map(_value, wanted[:20]))}"
        case "anyOf":
            what = "fits none of the forms that it may have (anyOf)"
        case "oneOf":
            what = "must fit exactly one of the forms that it may have (oneOf)"
        case "uniqueItems":
            what = "has an item twice"
        case str() if keyword in BOUNDS:
            what = f"must be {BOUNDS[keyword].format(_value(wanted))}"
        case _:
            what = f"does not meet the schema's {keyword}"
    if "propertyNames" in error.absolute_schema_path and isinstance(value, str):
        return f"the name of the property {quoted_key(value)} {what}"
    return what


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    plain = len(step) <= NAME and re.fullmatch(r"[A-Za-z_]\w*", step, re.ASCII)
    return f".{step}" if plain else f"[{quoted_key(step)}]"


def _names(keys: Iterable[str]) -> str:
    return ", ".join(map(quoted_key, keys)) or "a property"


def _value(value: object) -> str:
    return _cut(json.dumps(value, ensure_ascii=False), VALUE)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
