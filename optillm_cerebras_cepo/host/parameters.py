"""The fields of a request body that describe the answer, as Parameters: OpenAI's fields, their types and ranges.

A field whose value asks for nothing (`null`, `stop: []`, `top_logprobs: 0`) counts as not given, as in OpenAI's API.
Fields that are not named here are ignored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from optillm_cerebras_cepo.core.chat import ForcedFunction, Parameters
from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host.api_schema import FORMATS, RemovedFields, clean

MAX_ANSWERS = 8  # `n` of one request; each answer takes as many calls as a single one
MAX_STOPS = 4
MAX_CACHE_KEY = 1_024  # characters
SEED_LIMIT = 2**63
SCHEMA_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # of a json_schema; the API refuses a schema without a name

_NO_LOGPROBS = "logprobs are not available: the answer is chosen among several replies"
# Values that ask for nothing; null does so in every field.
_UNSET: Mapping[str, tuple[object, ...]] = {
    "stop": ("", []),
    "logit_bias": ({},),
    "response_format": ({},),
    "user": ("",),
    "prompt_cache_key": ("",),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "audio": ({}, False),
    "modalities": ([], ["text"]),
    "functions": ([],),
    "function_call": ("", "none", "auto"),
}
# Fields that are refused with any other value, and why.
_UNAVAILABLE = {
    "top_logprobs": _NO_LOGPROBS,
    "audio": "audio is not available: answers are text",
    "modalities": 'modalities must be ["text"]: answers are text',
    "functions": "functions is deprecated; send tools instead",
    "function_call": "function_call is deprecated; send tools and tool_choice instead",
}


def parameters_from(body: Mapping[str, Any]) -> Parameters:
    """Return the parameters of a request body.

    Raises:
        BadRequest: a field has a wrong type or range, or is not available; `param` names it.

    """
    # OptiLLM's defect: parameters_are_ignored
    given = {name: value for name, value in body.items() if not _is_unset(name, value)}
    if _boolean(given, "logprobs"):
        raise BadRequest(_NO_LOGPROBS, param="logprobs")
    for name, reason in _UNAVAILABLE.items():
        if name in given:
            raise BadRequest(reason, param=name)
    stream, removed = _boolean(given, "stream"), RemovedFields()
    # Both are checked. The deprecated field counts where the newer one is missing, as in OptiLLM.
    deprecated, newer = _integer(given, "max_tokens", 1), _integer(given, "max_completion_tokens", 1)
    return Parameters(
        max_tokens=deprecated if newer is None else newer,
        temperature=_number(given, "temperature", 0, 2),
        top_p=_number(given, "top_p", 0, 1),
        stop=_stop(given),
        seed=_integer(given, "seed", -SEED_LIMIT, SEED_LIMIT - 1),
        response_format=_response_format(given, removed),
        user=_user(given),
        prompt_cache_key=_cache_key(given),
        n=_integer(given, "n", 1, MAX_ANSWERS) or 1,
        frequency_penalty=_number(given, "frequency_penalty", -2, 2),
        presence_penalty=_number(given, "presence_penalty", -2, 2),
        logit_bias=_logit_bias(given),
        stream=stream,
        include_usage=_include_usage(given, stream),
        fitted=removed.notes,
    )


def _is_unset(name: str, value: object) -> bool:
    return value is None or any(type(value) is type(unset) and value == unset for unset in _UNSET.get(name, ()))


def _boolean(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise BadRequest(f"{name} must be true or false", param=name)
    return value


def _integer(given: Mapping[str, Any], name: str, low: int, high: int | None = None) -> int | None:
    value = given.get(name)
    # Compare the type: in Python, true is an int as well.
    if value is not None and (type(value) is not int or value < low or (high is not None and value > high)):
        span = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise BadRequest(f"{name} must be an integer {span}", param=name)
    return value


def _number(given: Mapping[str, Any], name: str, low: int, high: int) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if not _is_number(value, low, high):
        raise BadRequest(f"{name} must be a number from {low} to {high}", param=name)
    return float(value)


def _is_number(value: object, low: int, high: int) -> bool:
    """Return whether a value is a number of this range; NaN is in none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high


def _user(given: Mapping[str, Any]) -> str | None:
    value = given.get("user")
    if not isinstance(value, str | None):
        raise BadRequest("user must be a string", param="user")
    return value


def _cache_key(given: Mapping[str, Any]) -> str | None:
    value = given.get("prompt_cache_key")
    if value is not None and not (isinstance(value, str) and len(value) <= MAX_CACHE_KEY):
        message = f"prompt_cache_key must be a string of at most {MAX_CACHE_KEY:,} characters"
        raise BadRequest(message, param="prompt_cache_key")
    return value


def _stop(given: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the stop sequences without empty ones."""
    value = given.get("stop", [])
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > MAX_STOPS or not all(isinstance(stop, str) for stop in stops):
        raise BadRequest(f"stop must be a string or a list of at most {MAX_STOPS} strings", param="stop")
    return tuple(filter(None, stops))


def _logit_bias(given: Mapping[str, Any]) -> Mapping[str, float] | None:
    value = given.get("logit_bias")
    if value is not None and not (
        isinstance(value, dict)
        and all(key.isascii() and key.isdigit() and _is_number(bias, -100, 100) for key, bias in value.items())
    ):
        raise BadRequest("logit_bias must be an object of numbers from -100 to 100 by token id", param="logit_bias")
    return value


def _include_usage(given: Mapping[str, Any], stream: bool) -> bool:
    options = given.get("stream_options", {})
    if not isinstance(options, dict):
        raise BadRequest("stream_options must be an object", param="stream_options")
    wanted = options.get("include_usage")
    if not isinstance(wanted, bool | None):
        raise BadRequest("stream_options.include_usage must be true or false", param="stream_options")
    if wanted and not stream:
        raise BadRequest("stream_options is allowed only with stream: true", param="stream_options")
    return bool(wanted)


def _response_format(given: Mapping[str, Any], removed: RemovedFields) -> Mapping[str, Any] | None:
    """Return the format as the API accepts it; None for plain text.

    A schema without a name gets one. `response_format.RequestedFormat` checks the schema itself.
    """
    value = given.get("response_format", {"type": "text"})
    kind = value.get("type") if isinstance(value, dict) else None
    try:
        if kind not in ("text", "json_object", "json_schema"):
            raise BadRequest("response_format must be an object whose type is text, json_object or json_schema")
        if kind == "text":
            return None
        if kind == "json_schema" and isinstance(schema := value.get("json_schema"), dict):
            value = {**value, "json_schema": {**schema, "name": _schema_name(schema)}}
        cleaned: dict[str, Any] = clean(value, FORMATS[kind], "response_format", removed)
        return cleaned
    except BadRequest as error:
        raise BadRequest(error.message, param="response_format") from None


def function_format(function: ForcedFunction) -> dict[str, Any]:
    """Return the response format of an answer that consists of this function's arguments."""
    schema: dict[str, Any] = {"name": function.name, "schema": function.parameters}
    schema |= {"description": function.description, "strict": function.strict}
    given = {name: value for name, value in schema.items() if value is not None}
    return {"type": "json_schema", "json_schema": {**given, "name": _schema_name(given)}}


def _schema_name(schema: Mapping[str, Any]) -> object:
    """Return a name that the API accepts: the schema's own, else its title, else `answer`; a non-string as it is."""
    name, inner = schema.get("name"), schema.get("schema")
    if not isinstance(name, str | None):
        return name
    title = inner.get("title") if isinstance(inner, dict) else None
    return next(one for one in (name, title, "answer") if isinstance(one, str) and SCHEMA_NAME.fullmatch(one))
