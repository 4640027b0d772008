"""The validated request, made once from the body: before any call, so that an invalid field costs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import flask

from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.core.chat import ForcedFunction, Question
from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host import configuration
from optillm_cerebras_cepo.host.messages import question_from
from optillm_cerebras_cepo.host.parameters import function_format, parameters_from
from optillm_cerebras_cepo.response_format import RequestedFormat
from optillm_cerebras_cepo.settings.loading import load, misspelt_fields

_INCOMING = "cepo_cerebras_request"  # on flask.g


@dataclass(frozen=True)
class IncomingRequest:
    """The record of a request that OptiLLM will hand to our plugin, kept on `flask.g`.

    Attributes:
        parsed: the request.
        makes_reply: whether our plugin makes the reply; otherwise OptiLLM does, from the text that we return.
        gets_conversation: for each call of our plugin in turn, whether it is to answer the conversation; otherwise it
            is to answer what the approach before it has returned. Endless.

    """

    parsed: CepoRequest
    makes_reply: bool
    gets_conversation: Iterator[bool] = field(repr=False)


def incoming_request() -> IncomingRequest | None:
    """Return the record of the current request; None outside of a request context, as in OptiLLM's batch mode."""
    return flask.g.get(_INCOMING) if flask.has_request_context() else None


def set_incoming_request(incoming: IncomingRequest) -> None:
    """Keep the record for as long as the current request lasts."""
    setattr(flask.g, _INCOMING, incoming)


def parse_request(body: Mapping[str, Any], question: Question | None = None) -> CepoRequest:
    """Return the request of a body.

    Args:
        body: the fields of the client's body.
        question: what to answer instead of the body's messages.

    Raises:
        BadRequest: a field is not valid; `param` names it.
        BadConfiguration: the server's own settings are not valid.

    """
    parameters = parameters_from(body)
    parameters = replace(parameters, fitted=(*parameters.fitted, *misspelt_fields(body)))
    settings = load(configuration.cepo_fields(), os.environ, body)
    limit = settings.max_bestofn_n
    if limit is not None and parameters.n > limit:
        raise BadRequest(f"n must be at most {limit} on this server: it makes a candidate for each answer", param="n")
    form = RequestedFormat(parameters.response_format) if parameters.response_format else None
    question = question or question_from(body, plan=settings.effort != "none")
    request = CepoRequest(question, settings, parameters, form)
    if question.function is None:
        return request
    try:
        return _answered_by_call(request, question.function)
    except BadRequest:  # a schema that we cannot check; whether the model can use it, the API decides
        return replace(request, question=question_from(body, plan=False))


def _answered_by_call(request: CepoRequest, function: ForcedFunction) -> CepoRequest:
    """Return the request for an answer that consists of the function's arguments."""
    wanted = function_format(function)
    fitted = request.parameters.fitted
    if request.response_format:
        fitted += ("response_format: left out, because tool_choice asks for a call of a function",)
    parameters = replace(request.parameters, response_format=wanted, fitted=fitted)
    return replace(request, parameters=parameters, response_format=RequestedFormat(wanted))
