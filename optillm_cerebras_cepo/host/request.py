"""The validated request, made once from the body: before any call, so that an invalid field costs nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import flask

from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host import configuration
from optillm_cerebras_cepo.host.parameters import parameters_from
from optillm_cerebras_cepo.response_format import RequestedFormat
from optillm_cerebras_cepo.settings.loading import load

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


def parse_request(body: Mapping[str, Any], question: Question) -> CepoRequest:
    """Return the request of a body whose messages have been read as `question`.

    Raises:
        BadRequest: a field is not valid; `param` names it.
        BadConfiguration: the server's own settings are not valid.

    """
    parameters = parameters_from(body)
    settings = load(configuration.cepo_fields(), os.environ, body)
    limit = settings.max_bestofn_n
    if limit is not None and parameters.n > limit:
        raise BadRequest(f"n must be at most {limit} on this server: it makes a candidate for each answer", param="n")
    form = RequestedFormat(parameters.response_format) if parameters.response_format else None
    return CepoRequest(question, settings, parameters, form)
