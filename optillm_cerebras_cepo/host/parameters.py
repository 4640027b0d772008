"""A request's body as Parameters: OpenAI's fields with their types and ranges, and an error for what is not available.

A field whose value asks for nothing (`null`, `stop: []`, `top_logprobs: 0`) counts as not given, as OpenAI has it.
Fields that stand nowhere here are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from optillm_cerebras_cepo.errors import BadRequest
from optillm_cerebras_cepo.host.cleaning import FORMATS, Dropped, cleaned
from optillm_cerebras_cepo.parameters import Parameters

ANSWERS = 8  # the most of one request: each is made of as many calls as a single one
STOPS = 4
LONG = 2**63
SCHEMA_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # of a json_schema; the API refuses one without a name

_NO_LOGPROBS = "logprobs are not available: the answer is chosen among several replies"
# Values that ask for nothing, by field; null asks for nothing in every field.
_NOTHING: Mapping[str, tuple[object, ...]] = {
    "stop": ("", []),
    "logit_bias": ({},),
    "response_format": ({},),
    "user": ("",),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "audio": ({}, False),
    "modalities": ([], ["text"]),
    "functions": ([],),
    "function_call": ("", "none", "auto"),
}
# Fields that are refused when they ask for anything, and why.
_UNAVAILABLE = {
    "top_logprobs": _NO_LOGPROBS,
    "audio": "audio is not available: answers are text",
    "modalities": 'modalities must be ["text"]: answers are text',
    "functions": "functions is deprecated; send tools instead",
    "function_call": "function_call is deprecated; send tools and tool_choice instead",
}


def parameters_from(body: Mapping[str, Any]) -> Parameters:
    """Read what a client asks of its answer.

    Args:
        body: the request's fields as parsed from JSON.

    Raises:
        BadRequest: a field has a wrong type or range, or asks for what there is not; `param` names the field.

    """
    # OptiLLM's defect: parameters_are_ignored
    given = {name: value for name, value in body.items() if not _asks_nothing(name, value)}
    _check_available(given)
    stream, dropped = _flag(given, "stream"), Dropped()
    # Both are looked at, and the older name counts where the newer is missing, as in OptiLLM.
    older, newer = _whole(given, "max_tokens", 1), _whole(given, "max_completion_tokens", 1)
    return Parameters(
        max_tokens=older if newer is None else newer,
        temperature=_number(given, "temperature", 0, 2),
        top_p=_number(given, "top_p", 0, 1),
        stop=_stop(given),
        seed=_whole(given, "seed", -LONG, LONG - 1),
        response_format=_response_format(given, dropped),
        user=_user(given),
        n=_whole(given, "n", 1, ANSWERS) or 1,
        frequency_penalty=_number(given, "frequency_penalty", -2, 2),
        presence_penalty=_number(given, "presence_penalty", -2, 2),
        logit_bias=_logit_bias(given),
        stream=stream,
        include_usage=_include_usage(given, stream),
        fitted=dropped.lines,
    )


def _asks_nothing(name: str, value: object) -> bool:
    """Return whether the field may as well be missing."""
    return value is None or any(type(value) is type(one) and value == one for one in _NOTHING.get(name, ()))


def _check_available(given: Mapping[str, Any]) -> None:
    if _flag(given, "logprobs"):
        raise BadRequest(_NO_LOGPROBS, param="logprobs")
    for name, reason in _UNAVAILABLE.items():
        if name in given:
            raise BadRequest(reason, param=name)


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false", param=name)
    return value


def _whole(given: Mapping[str, Any], name: str, low: int, high: int | None = None) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    # By its type: true is an int to Python, and no number to JSON.
    if type(value) is not int or value < low or (high is not None and value > high):
        reach = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise BadRequest(f"{name} must be a whole number {reach}", param=name)
    return value


def _number(given: Mapping[str, Any], name: str, low: int, high: int) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if not _within(value, low, high):
        raise BadRequest(f"{name} must be a number from {low} to {high}", param=name)
    return float(value)


def _within(value: object, low: int, high: int) -> bool:
    """Whether it is a number of this range, which NaN is not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _user(given: Mapping[str, Any]) -> str | None:
    value = given.get("user")
    if value is not None and not isinstance(value, str):
        raise BadRequest("user must be a text", param="user")
    return value


def _stop(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the stop sequences. An empty one stops nothing and is left out."""
    value = given.get("stop", [])
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > STOPS or not all(isinstance(one, str) for one in stops):
        raise BadRequest(f"stop must be a text or a list of at most {STOPS} texts", param="stop")
    return tuple(one for one in stops if one)


def _logit_bias(given: Mapping[str, Any]) -> Mapping[str, float] | None:
    value = given.get("logit_bias")
    if value is None:
        return None
    if not isinstance(value, dict) or not all(
        key.isascii() and key.isdigit() and _within(bias, -100, 100) for key, bias in value.items()
    ):
        raise BadRequest("logit_bias must be an object of numbers from -100 to 100 by token id", param="logit_bias")
    return value


def _include_usage(given: Mapping[str, Any], stream: bool) -> bool:
    options = given.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise BadRequest("stream_options must be an object", param="stream_options")
    wanted = options.get("include_usage")
    if wanted is not None and not isinstance(wanted, bool):
        raise BadRequest("stream_options.include_usage must be true or false", param="stream_options")
    if wanted and not stream:
        raise BadRequest("stream_options is allowed only with stream: true", param="stream_options")
    return bool(wanted)


def _response_format(given: Mapping[str, Any], dropped: Dropped) -> Mapping[str, Any] | None:
    """Return the format as the API takes it; None for plain text.

    A schema gets a name; whether the schema is valid is not checked here.
    """
    wanted = given.get("response_format")
    if wanted is None:
        return None
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise _bad_format("response_format must be an object whose type is text, json_object or json_schema")
    if kind == "text":
        return None
    if kind == "json_schema":
        wanted = {**wanted, "json_schema": _named_schema(wanted.get("json_schema"))}
    made: dict[str, Any] = cleaned(wanted, FORMATS[kind], "response_format", dropped)
    return made


def _named_schema(wrapped: object) -> Mapping[str, Any]:
    """Return the json_schema with a name that the API accepts: its own, else the schema's title, else `answer`."""
    if not isinstance(wrapped, dict):
        raise _bad_format("response_format.json_schema must be an object")
    if not isinstance(wrapped.get("schema"), dict):
        raise _bad_format("response_format.json_schema.schema must be an object, a JSON schema")
    for name, kind, called in (
        ("name", str, "a text"),
        ("description", str, "a text"),
        ("strict", bool, "true or false"),
    ):
        if wrapped.get(name) is not None and not isinstance(wrapped[name], kind):
            raise _bad_format(f"response_format.json_schema.{name} must be {called}")
    names = (wrapped.get("name"), wrapped["schema"].get("title"), "answer")
    return {**wrapped, "name": next(one for one in names if isinstance(one, str) and SCHEMA_NAME.fullmatch(one))}


def _bad_format(message: str) -> BadRequest:
    return BadRequest(message, param="response_format")
