"""Fitting a request to its model: what the model is known to refuse is dropped, what it turns out to refuse is learnt.

Only that a model does not support a field is remembered for later requests. A refused value is clamped or dropped for
the request that sent it. Nothing is dropped in silence: the completion says what did not go out as it was asked.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optillm_cerebras_cepo.chat import ChatRequest, Completion
from optillm_cerebras_cepo.errors import RefusedCall
from optillm_cerebras_cepo.llm.base import ChatClient
from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.llm.refused_params import RefusedParam, refused_params

# Without them a client would be given what it has not asked for.
NEEDED = frozenset({"tools", "tool_choice"})
# Of these some value may be supported where another is not: another client's may be another.
STRUCTURED = NEEDED | {"response_format"}
# Numbers of which the nearest allowed one means nearly the same. A clamped seed would be the same for every call.
CLAMPED = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"})
LIMIT = "max_completion_tokens"  # cannot be dropped, only lowered


class Refusals:
    """Names of fields that models of one account do not support, by model, for as long as the process lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fields: dict[str, frozenset[str]] = {}

    def of(self, model: str) -> frozenset[str]:
        """Return the fields that this model does not support."""
        with self._lock:
            return self._fields.get(model, frozenset())

    def add(self, model: str, fields: frozenset[str]) -> None:
        """Remember a refusal."""
        with self._lock:
            self._fields[model] = self._fields.get(model, frozenset()) | fields


class Fit:
    """Layer that leaves out or clamps what the model refuses, as long as a refusal names a further field.

    One per request: values that were refused are remembered here, so that each costs the request one refused call.

    Args:
        inner: makes the calls.
        refusals: fields that are known to be unsupported; learnt ones are added.

    """

    def __init__(self, inner: ChatClient, refusals: Refusals) -> None:
        self._inner = inner
        self._refusals = refusals
        self._lock = threading.Lock()
        self._values: dict[tuple[str, str, str], Any] = {}  # model, field and refused value: what goes out instead

    def complete(self, request: ChatRequest) -> Completion:
        """Answer from the fitted request. Raises what the inner client raises."""
        fitted, clamped = self._suited(request), frozenset[str]()
        while True:
            try:
                completion = self._inner.complete(fitted)
                break
            except RefusedCall as refusal:
                refused = refused_params(refusal.api_param, refusal.api_text, _sent(fitted))
                # Each round drops a field, or clamps one that a further refusal drops: the rounds end.
                smaller = self._without(fitted, refused, clamped)
                if smaller is fitted:
                    needed = [one.name for one in refused if one.name in NEEDED]
                    refusal.param = needed[0] if needed else refusal.param
                    raise
                fitted, clamped = smaller, clamped | {one.name for one in refused}
        changes = _changes(request, fitted)
        return replace(completion, fitted=(*changes, *completion.fitted)) if changes else completion

    def _suited(self, request: ChatRequest) -> ChatRequest:
        """The request without what is known to be refused."""
        unsupported = _known_refused(request) | self._refusals.of(request.model)
        suited = _changed(_limited(request), dict.fromkeys(unsupported & _fields(request)))
        with self._lock:
            if not self._values:
                return suited
            known = {
                name: self._values[key]
                for name, value in _sent(suited).items()
                if (key := (request.model, name, repr(value))) in self._values
            }
        return _changed(suited, known)

    def _without(self, request: ChatRequest, refused: tuple[RefusedParam, ...], clamped: frozenset[str]) -> ChatRequest:
        """The request without these fields or values; what is learnt of them is remembered.

        What was clamped before is dropped now.
        """
        sent = _sent(request)
        instead = {
            one.name: None if one.name in clamped else _instead(one, sent[one.name])
            for one in refused
            if one.name not in NEEDED
        }
        if instead.get(LIMIT, LIMIT) is None:
            del instead[LIMIT]
        lasting = frozenset(one.name for one in refused if one.unsupported and one.name in instead) - STRUCTURED
        self._refusals.add(request.model, lasting - {LIMIT})
        with self._lock:
            for name, value in instead.items():
                self._values[(request.model, name, repr(sent[name]))] = value
        return _changed(request, instead)


def _instead(refused: RefusedParam, value: Any) -> Any:
    """What goes out instead of a refused value; None to drop it."""
    if refused.name not in CLAMPED | {LIMIT} or refused.unsupported or not isinstance(value, int | float):
        return None
    clamped = refused.clamped(value)
    return None if refused.name == LIMIT and clamped is not None and clamped < 1 else clamped


def _sent(request: ChatRequest) -> dict[str, Any]:
    """The fields that a refusal may be about, under the API's names. Without a model or messages there is no call."""
    limit = {LIMIT: request.max_tokens}
    return {**request.options, **limit, **({} if request.temperature is None else {"temperature": request.temperature})}


def _fields(request: ChatRequest) -> frozenset[str]:
    """The fields that can be left out."""
    return frozenset(_sent(request)) - {LIMIT}


def _changed(request: ChatRequest, values: Mapping[str, Any]) -> ChatRequest:
    """The same request with other values; None drops a field."""
    if not values:
        return request
    options = {name: values.get(name, value) for name, value in request.options.items()}
    return replace(
        request,
        max_tokens=values.get(LIMIT, request.max_tokens),
        temperature=values.get("temperature", request.temperature),
        options={name: value for name, value in options.items() if value is not None},
    )


def _changes(asked: ChatRequest, sent: ChatRequest) -> tuple[str, ...]:
    """What did not go out as it was asked, a line each."""
    if sent is asked:
        return ()
    wanted, went = _sent(asked), _sent(sent)
    lines = [f"{name} dropped" for name in sorted(wanted.keys() - went.keys())]
    return (*lines, *(_clamp(name, wanted[name], went[name]) for name in went if went[name] != wanted[name]))


def _clamp(name: str, wanted: float, went: float) -> str:
    shown = went if isinstance(went, int) else f"{went:g}"
    return f"{name} {'lowered' if went < wanted else 'raised'} to {shown}"


def _known_refused(request: ChatRequest) -> frozenset[str]:
    model = lookup(request.model)
    effort = request.options.get("reasoning_effort")
    return model.refuses | (frozenset() if effort in model.efforts else {"reasoning_effort"})


def _limited(request: ChatRequest) -> ChatRequest:
    limit = lookup(request.model).max_output
    return replace(request, max_tokens=limit) if limit is not None and request.max_tokens > limit else request
