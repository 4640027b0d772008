"""Parse JSON that a model wrote, and find JSON in a text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from optillm_cerebras_cepo.response_format.descriptions import quoted_key

TRIES = 32  # positions where JSON may begin; parsing from each takes up to the text's length
FENCE = re.compile(r"[ \t]*```[ \t]*(\w*)[ \t]*")
LARGEST_DIGITS = 308  # of an integer that is finite as a float


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
