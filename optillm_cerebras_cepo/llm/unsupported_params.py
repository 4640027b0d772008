"""Leave out fields that a model refuses: those in the table of models, and those that the API is seen to refuse.

Only fields that a model does not support are remembered for later requests. A refused value is clamped or dropped for
the request that sent it. The completion lists every change.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion
from optillm_cerebras_cepo.core.errors import RefusedCall
from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.llm.refusal_parsing import RefusedParam, refused_params

# Never dropped: the client would get something else than it asked for.
REQUIRED = frozenset({"tools", "tool_choice"})
# Dropped for one request only: another client's value may be supported.
STRUCTURED = REQUIRED | {"response_format"}
# Numbers whose nearest allowed value means nearly the same. A clamped seed would be the same for every call.
CLAMPED = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"})
LIMIT = "max_completion_tokens"  # lowered, never dropped


class UnsupportedParams:
    """Fields that models of one account do not support, by model. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fields: dict[str, frozenset[str]] = {}

    def for_model(self, model: str) -> frozenset[str]:
        """Return the fields that this model does not support."""
        with self._lock:
            return self._fields.get(model, frozenset())

    def record(self, model: str, fields: frozenset[str]) -> None:
        """Remember fields that this model does not support."""
        with self._lock:
            self._fields[model] = self._fields.get(model, frozenset()) | fields


class UnsupportedParamsFilter:
    """Layer that leaves out or clamps what the model refuses, as long as each refusal names a further field.

    There is one for each request. It remembers refused values, so that each costs the request one refused call.

    Args:
        inner: makes the calls.
        unsupported: fields that are known to be unsupported; new ones are added.

    """

    def __init__(self, inner: ChatClient, unsupported: UnsupportedParams) -> None:
        self._inner = inner
        self._unsupported = unsupported
        self._lock = threading.Lock()
        self._replacements: dict[tuple[str, str, str], Any] = {}  # by model, field and refused value

    def complete(self, request: ChatRequest) -> Completion:
        """Answer from the changed request. Raises what the inner client raises."""
        sent, clamped = self._without_known(request), frozenset[str]()
        while True:
            try:
                completion = self._inner.complete(sent)
                break
            except RefusedCall as refusal:
                refused = refused_params(refusal.api_param, refusal.api_text, _params(sent))
                # The loop ends: each round drops a field, or clamps one that a further refusal drops.
                smaller = self._without_refused(sent, refused, clamped)
                if smaller is sent:
                    refusal.param = next((param.name for param in refused if param.name in REQUIRED), refusal.param)
                    raise
                sent, clamped = smaller, clamped | {param.name for param in refused}
        changes = _changes(request, sent)
        return replace(completion, fitted=(*changes, *completion.fitted)) if changes else completion

    def _without_known(self, request: ChatRequest) -> ChatRequest:
        """Return the request without what is known to be refused."""
        model = lookup(request.model)
        unsupported = model.refuses | self._unsupported.for_model(request.model)
        if request.options.get("reasoning_effort") not in model.efforts:
            unsupported |= {"reasoning_effort"}
        changes: dict[str, Any] = {name: None for name in _params(request) if name in unsupported and name != LIMIT}
        if model.max_output is not None and request.max_tokens > model.max_output:
            changes[LIMIT] = model.max_output
        request = _with_params(request, changes)
        with self._lock:
            if not self._replacements:
                return request
            known = {
                name: self._replacements[key]
                for name, value in _params(request).items()
                if (key := (request.model, name, repr(value))) in self._replacements
            }
        return _with_params(request, known)

    def _without_refused(
        self, request: ChatRequest, refused: tuple[RefusedParam, ...], clamped: frozenset[str]
    ) -> ChatRequest:
        """Return the request without these fields or values, and remember them.

        Fields that were clamped before are dropped.
        """
        sent = _params(request)
        replacements = {
            param.name: None if param.name in clamped else _replacement(param, sent[param.name])
            for param in refused
            if param.name not in REQUIRED
        }
        if replacements.get(LIMIT, LIMIT) is None:
            del replacements[LIMIT]
        unsupported = frozenset(param.name for param in refused if param.unsupported and param.name in replacements)
        self._unsupported.record(request.model, unsupported - STRUCTURED - {LIMIT})
        with self._lock:
            for name, value in replacements.items():
                self._replacements[request.model, name, repr(sent[name])] = value
        return _with_params(request, replacements)


def _replacement(refused: RefusedParam, value: Any) -> Any:
    """Return the value to send instead of a refused one; None to drop the field."""
    if refused.name not in CLAMPED | {LIMIT} or refused.unsupported or not isinstance(value, int | float):
        return None
    clamped = refused.clamped(value)
    return None if refused.name == LIMIT and clamped is not None and clamped < 1 else clamped


def _params(request: ChatRequest) -> dict[str, Any]:
    """Return the fields that a refusal may name, under the API's names: all but the model and the messages."""
    params = {**request.options, LIMIT: request.max_tokens}
    return params if request.temperature is None else {**params, "temperature": request.temperature}


def _with_params(request: ChatRequest, values: Mapping[str, Any]) -> ChatRequest:
    """Return the request with other values; None drops a field."""
    if not values:
        return request
    options = {name: values.get(name, value) for name, value in request.options.items()}
    return replace(
        request,
        max_tokens=values.get(LIMIT, request.max_tokens),
        temperature=values.get("temperature", request.temperature),
        options={name: value for name, value in options.items() if value is not None},
    )


def _changes(original: ChatRequest, sent: ChatRequest) -> tuple[str, ...]:
    """Return a line for each field that was dropped or changed."""
    if sent is original:
        return ()
    before, after = _params(original), _params(sent)
    lines = [f"{name} dropped" for name in sorted(before.keys() - after.keys())]
    for name, value in after.items():
        if value != before[name]:
            shown = value if isinstance(value, int) else f"{value:g}"
            lines.append(f"{name} {'lowered' if value < before[name] else 'raised'} to {shown}")
    return tuple(lines)
