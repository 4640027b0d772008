"""Validate a request body: against JSON, the schema, the model and its context length."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError

from . import problems, tokens
from .models import ServedModel, Tier
from .problems import Refused
from .schema import ChatCompletionServerRequest

MAX_OUTPUT_CHARGE = 16_384
"""Most output tokens that a request is charged for, and the charge without a token limit (third-party measurement)."""

_RECORDED_EFFORTS = ("low", "medium", "high")


@dataclass(frozen=True)
class ValidRequest:
    """A valid request, its model, and its sizes in tokens.

    `output_limit` is where the answer is cut; `charge` counts against the rate limits. `cached` are the prompt's tokens
    that the cache has.
    """

    request: ChatCompletionServerRequest
    model: ServedModel
    prompt_tokens: int
    output_limit: int
    charge: int
    cached: int = 0


def parse(raw: bytes) -> Any:
    """Return the JSON value of a body. Raise ValueError for anything that is not JSON, including NaN and Infinity."""
    try:
        return json.loads(raw, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("too deeply nested") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def validate(body: object, models: Mapping[str, ServedModel], tier: Tier, status: int = 400) -> ValidRequest:
    """Check a parsed body against the schema, the model and its context length. Raise Refused with the API's reply.

    `status` is that of validation errors: 400 since 2026-04-24, 422 before.
    """
    if not isinstance(body, dict):
        raise Refused(problems.malformed("Request body must be a JSON object", status))
    try:
        request = ChatCompletionServerRequest.model_validate(body)
    except ValidationError as error:
        raise Refused(_explain(error, status)) from None
    model = models.get(request.model)
    if model is None:
        raise Refused(problems.model_not_found(request.model))
    _check_model(request, model, status)
    return _measure(request, model, tier, status)


def _explain(error: ValidationError, status: int) -> problems.Reply:
    unknown = [_path(item["loc"], "body.") for item in error.errors() if item["type"] == "extra_forbidden"]
    if unknown:
        return problems.unsupported(unknown, status)
    return problems.invalid(
        [
            (
                _path(item["loc"]),
                f"{item['msg']} [type={item['type']}, input_value={_short(item['input'])}, "
                f"input_type={type(item['input']).__name__}]",
            )
            for item in error.errors()
        ],
        status,
    )


def _path(loc: tuple[int | str, ...], top: str = "") -> str:
    """Return a dotted path. Recorded replies put `body.` before top-level fields only."""
    return (top if len(loc) == 1 else "") + ".".join(str(step) for step in loc)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 50 else f"{text[:25]}...{text[-24:]}"


def _check_model(request: ChatCompletionServerRequest, model: ServedModel, status: int) -> None:
    effort = request.reasoning_effort
    if effort is not None and effort not in model.efforts:
        # The only recorded refusal: `none` sent to a model without reasoning. Its text lists the schema's levels.
        if model.reasons or effort == "none":
            levels = model.efforts or _RECORDED_EFFORTS
            raise Refused(problems.effort_level(levels, effort, status))
        raise Refused(problems.not_for_model("reasoning_effort", model.id, status))
    if request.prediction is not None and not model.takes_prediction:
        raise Refused(problems.not_for_model("prediction", model.id, status))
    if not model.takes_developer_role and any(message.role == "developer" for message in request.messages):
        raise Refused(problems.not_for_model("messages.developer", model.id, status))


def _measure(request: ChatCompletionServerRequest, model: ServedModel, tier: Tier, status: int) -> ValidRequest:
    window = model.window(tier)
    prompt = tokens.count_prompt(request)
    if request.reserved is not None and request.reserved > window.output:
        text = problems.at_most(window.output)
        raise Refused(problems.invalid([("max_completion_tokens", text)], status))  # [assumed]
    # An answer needs room for at least one token, even if the client sets no limit.
    length = prompt + (request.reserved or 1)
    if length > window.context:
        raise Refused(problems.context_length_exceeded(length, window.context))
    limit = request.reserved or min(window.output, window.context - prompt)
    charge = prompt + min(request.reserved or MAX_OUTPUT_CHARGE, MAX_OUTPUT_CHARGE)
    return ValidRequest(request, model, prompt, limit, charge)
