"""Leave out fields that a model refuses: those in the table of models, and those that the API is seen to refuse.

Only fields that a model does not support are remembered for later requests. A refused value is clamped or dropped for
the request that sent it. The completion lists every change.

Refusals have no fixed form. The recorded ones name a field in `param`, on a separate line (pydantic), in quotes, or
before a colon. They quote the refused input in brackets; it may contain any word, so it is ignored.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion
from optillm_cerebras_cepo.core.errors import RefusedCall
from optillm_cerebras_cepo.llm.models import lookup

# Never dropped: the client would get something else than it asked for.
REQUIRED = frozenset({"tools", "tool_choice"})
# Dropped for one request only: another client's value may be supported.
STRUCTURED = REQUIRED | {"response_format"}
# Numbers whose nearest allowed value means nearly the same. A clamped seed would be the same for every call.
CLAMPED = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"})
OWN = frozenset({"prompt_cache_key"})  # not asked for by the client, so that it is not told if they are dropped
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

    There is one for each request. It remembers refused values, so that each costs the request one refused call. New
    unsupported fields are added to `unsupported`, for later requests.
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
    before, after = _params(original), _params(sent)
    lines = [f"{name} dropped" for name in sorted(before.keys() - after.keys() - OWN)]
    for name, value in after.items():
        if value != before[name]:
            shown = value if isinstance(value, int) else f"{value:g}"
            lines.append(f"{name} {'lowered' if value < before[name] else 'raised'} to {shown}")
    return tuple(lines)


_PATH = re.compile(r"[A-Za-z_]\w*(?:(?:\.\w+)|(?:\[\w+\]))*")
_QUOTED_INPUT = re.compile(r"\[type=(?:.*?input_type=\w+\]|[^\]]*\]?)", re.DOTALL)
_ALIASES = {"max_tokens": "max_completion_tokens"}
_NEVER_OPTIONAL = frozenset({"messages", "model"})
# Words about a value decide: "unsupported value: 'temperature' does not support 0.2" refuses 0.2, not the field.
_VALUE = re.compile(
    r"\bvalues?\b|\b(?:should|must) (?:not )?(?:be|have|match|exceed)\b|\b(?:less|greater|more|higher|lower) than\b"
    r"|\bat (?:most|least)\b|\bbetween\b|\brange\b|\bexceeds?\b|\b(?:maximum|minimum|invalid)\b|[<>≤≥]",
    re.IGNORECASE,
)
_UNSUPPORTED = re.compile(
    r"\bunsupported\b|\bnot (?:currently )?(?:supported|permitted|allowed|available|recogni[sz]ed)\b"
    r"|\b(?:does not|doesn't|cannot) (?:support|accept|take)\b|\b(?:unknown|unexpected|unrecogni[sz]ed|extra)\b",
    re.IGNORECASE,
)
_NUMBER = r"\s*(?:is|of|to|:)?\s*(-?\d+(?:\.\d+)?)(?![\w.]*\w)"
_AT_MOST = re.compile(
    rf"(?:less than or equal to|(?:no|not) (?:more|greater|higher) than|at most|not exceed|maximum(?: value)?|<=|≤)"
    rf"{_NUMBER}",
    re.IGNORECASE,
)
_AT_LEAST = re.compile(
    rf"(?:greater than or equal to|(?:no|not) (?:less|lower) than|at least|minimum(?: value)?|>=|≥){_NUMBER}",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"(?:between|range)\s*\[?(-?\d+(?:\.\d+)?)\s*(?:and|to|,|-)\s*(-?\d+(?:\.\d+)?)", re.IGNORECASE)


@dataclass(frozen=True)
class RefusedParam:
    """One field that a refusal names.

    Attributes:
        name: the field, under the API's name.
        unsupported: True if the model does not support the field; False if the value is refused, or this is unknown.
        at_least: smallest allowed number, if stated.
        at_most: largest allowed number, if stated.

    """

    name: str
    unsupported: bool = False
    at_least: float | None = None
    at_most: float | None = None

    def clamped(self, value: float) -> float | None:
        """Return the nearest allowed number; None if the value violates no stated bound."""
        if self.at_most is not None and value > self.at_most:
            bound = self.at_most
        elif self.at_least is not None and value < self.at_least:
            bound = self.at_least
        else:
            return None
        return int(bound) if isinstance(value, int) and bound == int(bound) else bound


def refused_params(api_param: str, api_text: str, sent: Mapping[str, Any]) -> tuple[RefusedParam, ...]:
    """Return the sent fields that a refusal names, each once, in order.

    A path such as `messages.2.tool_calls` or `response_format.json_schema.name` names its first field. A word that is
    a key within another named field (a schema's property called `temperature`) does not name the field `temperature`.
    A word within prose counts only if nothing is named more clearly, and then as a refused value. `api_param` is often
    no field but a category, such as `validation_error`.
    """
    text = _QUOTED_INPUT.sub("", api_text)
    param, nested = _field(api_param.strip())
    if param in sent:
        return (_refused_param(param, text, nested),)
    mentions = [_Mention(text, match) for match in _PATH.finditer(text)]
    clear = [mention for mention in mentions if mention.clear and mention.field in sent]
    if not clear:
        if _NEVER_OPTIONAL & {param, *(mention.field for mention in mentions if mention.clear)}:
            return ()
        return tuple(map(RefusedParam, dict.fromkeys(mention.field for mention in mentions if mention.field in sent)))
    names = list(dict.fromkeys(mention.field for mention in clear))
    inner_keys = {key for name in names for key in _words(sent[name])}
    found: dict[str, RefusedParam] = {}
    for number, mention in enumerate(clear):
        name = mention.field
        if name in found or (name in inner_keys and len(names) > 1):
            continue
        end = next((later.start for later in clear[number + 1 :] if later.field != name), len(text))
        about = text[mention.end : end] if len(names) > 1 else text
        if not _VALUE.search(about) and not _UNSUPPORTED.search(about):
            about = text
        found[name] = _refused_param(name, about, mention.nested)
    return tuple(found.values())


class _Mention:
    """A dotted path in a text: its first field, whether it has further parts, and whether it stands as a name."""

    def __init__(self, text: str, match: re.Match[str]) -> None:
        self.start, self.end = match.span()
        self.field, self.nested = _field(match[0])
        before, after = text[: self.start][-1:], text[self.end :][:1]
        on_own_line = before in ("", "\n") and after in ("", "\n")
        quoted = before in "'\"`" and after in "'\"`" and before != ""
        self.clear = on_own_line or after == ":" or quoted or "_" in match[0]


def _field(path: str) -> tuple[str, bool]:
    """Return a path's first field under the API's name, and whether the path has further parts."""
    first, *rest = re.split(r"[.\[]", path.removeprefix("body."), maxsplit=1)
    return _ALIASES.get(first, first), bool(rest)


def _refused_param(name: str, text: str, nested: bool) -> RefusedParam:
    between = _BETWEEN.search(text)
    low, high = between.groups() if between else (None, None)
    if at_most := _AT_MOST.search(text):
        high = at_most[1]
    if at_least := _AT_LEAST.search(text):
        low = at_least[1]
    return RefusedParam(
        name,
        unsupported=not nested and not _VALUE.search(text) and bool(_UNSUPPORTED.search(text)),
        at_least=None if low is None else float(low),
        at_most=None if high is None else float(high),
    )


def _words(value: object) -> Collection[str]:
    """Return every word within a structured value."""
    return set(re.findall(r"\w+", json.dumps(value, default=str))) if isinstance(value, dict | list) else ()
