"""Fitting a request to its model: what the model is known to refuse is dropped, what it turns out to refuse is learnt.

Nothing is dropped in silence: the completion says what did not go out as it was asked.
"""

from __future__ import annotations

import re
import threading
from dataclasses import replace

from optillm_cerebras_cepo.chat import ChatRequest, Completion
from optillm_cerebras_cepo.errors import RefusedCall
from optillm_cerebras_cepo.llm.base import ChatClient
from optillm_cerebras_cepo.llm.models import lookup

# Their values are in the API's own range, whoever sends them: what is refused is the field. Of any other the value may
# be at fault, and that is one client's: the next one's goes out.
LASTING = frozenset(
    {"temperature", "top_p", "seed", "frequency_penalty", "presence_penalty", "parallel_tool_calls", "reasoning_effort"}
)
# Without them a client would be given what it has not asked for.
NEEDED = frozenset({"tools", "tool_choice"})


class Refusals:
    """What models were seen to refuse: names of LASTING fields by model, for as long as the process lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fields: dict[str, frozenset[str]] = {}

    def of(self, model: str) -> frozenset[str]:
        """Fields that this model refused before."""
        with self._lock:
            return self._fields.get(model, frozenset())

    def add(self, model: str, fields: frozenset[str]) -> None:
        """Remember a refusal."""
        with self._lock:
            self._fields[model] = self._fields.get(model, frozenset()) | fields


class Fit:
    """Drops what the model refuses, and asks once more without a field that it names in a refusal."""

    def __init__(self, inner: ChatClient, refusals: Refusals) -> None:
        self._inner = inner
        self._refusals = refusals

    def complete(self, request: ChatRequest) -> Completion:
        """Answer from the fitted request. Raises what the inner client raises."""
        fitted = without(_limited(request), _known_refused(request) | self._refusals.of(request.model))
        try:
            completion = self._inner.complete(fitted)
        except RefusedCall as refusal:
            named = named_fields(refusal, fitted)
            if not named:
                refusal.param = next(iter(sorted(_words(refusal) & NEEDED & fitted.options.keys())), refusal.param)
                raise
            self._refusals.add(request.model, named & LASTING)
            fitted = without(fitted, named)
            completion = self._inner.complete(fitted)
        changes = _changes(request, fitted)
        return replace(completion, fitted=(*changes, *completion.fitted)) if changes else completion


def without(request: ChatRequest, fields: frozenset[str]) -> ChatRequest:
    """The same request without these fields."""
    if fields.isdisjoint(_fields(request)):
        return request
    return replace(
        request,
        temperature=None if "temperature" in fields else request.temperature,
        options={name: value for name, value in request.options.items() if name not in fields},
    )


def named_fields(refusal: RefusedCall, request: ChatRequest) -> frozenset[str]:
    """Which of the request's optional fields a refusal speaks of, by whole words."""
    return _words(refusal) & _fields(request) - NEEDED


def _words(refusal: RefusedCall) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", refusal.names))


def _fields(request: ChatRequest) -> frozenset[str]:
    """The fields that can be left out; a call without model, messages or limit would be another call."""
    return frozenset(request.options) | ({"temperature"} if request.temperature is not None else frozenset())


def _changes(asked: ChatRequest, sent: ChatRequest) -> tuple[str, ...]:
    if sent is asked:
        return ()
    lowered = [f"max_completion_tokens lowered to {sent.max_tokens}"] if sent.max_tokens < asked.max_tokens else []
    return (*(f"{name} dropped" for name in sorted(_fields(asked) - _fields(sent))), *lowered)


def _known_refused(request: ChatRequest) -> frozenset[str]:
    model = lookup(request.model)
    effort = request.options.get("reasoning_effort")
    return model.refuses | (frozenset() if effort in model.efforts else {"reasoning_effort"})


def _limited(request: ChatRequest) -> ChatRequest:
    limit = lookup(request.model).max_output
    return replace(request, max_tokens=limit) if limit is not None and request.max_tokens > limit else request
