"""Parse JSON that a model wrote, find JSON in a text, and say in one short line what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

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

TRIES = 32  # positions where JSON may begin; parsing from each takes up to the text's length
FENCE = re.compile(r"[ \t]*```[ \t]*(\w*)[ \t]*")
LARGEST_DIGITS = 308  # of an integer that is finite as a float


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


class InvalidJson(Exception):
    """The text is not JSON that can be used; the message says why in a short phrase."""


def parse_json(text: str) -> object:
    """Parse a text that is JSON (RFC 8259), refusing what parsers disagree on.

    Raises:
        InvalidJson: it is not JSON, or it has a duplicate key, a number beyond floating point, NaN, or deep nesting.

    """
    try:
        return _STRICT.decode(text)
    except json.JSONDecodeError as error:
        raise InvalidJson(_why(text, error)) from None
    except RecursionError:
        raise InvalidJson("it is nested too deeply to be read") from None


def is_json(text: str) -> bool:
    """Return whether `parse_json` accepts the text."""
    try:
        parse_json(text)
    except InvalidJson:
        return False
    return True


def is_object(text: str) -> bool:
    """Return whether the text is a JSON object."""
    try:
        return isinstance(parse_json(text), dict)
    except InvalidJson:
        return False


def fenced(text: str) -> Iterator[str]:
    """Yield the contents of code fences that are JSON."""
    inside: list[str] | None = None
    language = ""
    for row in text.splitlines():
        fence = FENCE.fullmatch(row)
        if fence and inside is None:
            inside, language = [], fence[1].lower()
        elif fence and inside is not None and not fence[1]:
            if language in ("", "json") and is_json(part := "\n".join(inside).strip()):
                yield part
            inside = None
        elif inside is not None:
            inside.append(row)


def embedded(text: str) -> Sequence[str]:
    """Return the outermost objects and arrays in a text; nothing if there are too many positions to try."""
    found: list[str] = []
    at = 0
    for _ in range(TRIES):
        opening = re.compile(r"[{\[]").search(text, at)
        if opening is None:
            return found
        at = opening.start()
        try:
            _, end = _LOOSE.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
        else:
            found.append(text[at:end])
            at = end
    return ()


def _why(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return "it is empty, where JSON is asked for"
    where = f"line {error.lineno}, column {error.colno}"
    if error.msg == "Extra data" and text.lstrip().startswith(("{", "[")):
        return f"it goes on after the end of the JSON, at {where}"
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        return "it ends in the middle of the JSON"
    return f"it is not JSON, at {where}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidJson(f"the key {quoted_key(twice)} stands more than once in one object")
    return found


def _integer(digits: str) -> int:
    if len(digits) > LARGEST_DIGITS:
        raise InvalidJson("it has a number that is too large")
    return int(digits)


def _decimal(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise InvalidJson("it has a number that is too large")
    return number


def _constant(literal: str) -> NoReturn:
    raise InvalidJson(f"it has {literal}, which is not JSON")


_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)
_LOOSE = json.JSONDecoder(parse_int=float)  # fast, and without a limit of digits
