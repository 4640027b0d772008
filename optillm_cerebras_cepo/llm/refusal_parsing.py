"""Find out from a refusal which of the sent fields the API refuses, and whether it refuses the field or its value.

Refusals have no fixed form. The recorded ones name a field in `param`, on a separate line (pydantic), in quotes, or
before a colon. They quote the refused input in brackets; it may contain any word, so it is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

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
    A word within prose counts only if nothing is named more clearly, and then as a refused value.

    Args:
        api_param: the refusal's `param`; often a category such as `validation_error`.
        api_text: the refusal's message.
        sent: the request's fields with their values.

    """
    text = _QUOTED_INPUT.sub("", api_text)
    api_param = api_param.strip()
    param = _first_field(api_param)
    if param in sent:
        return (_refused_param(param, text, _is_nested(api_param)),)
    mentions = [_mention(text, match) for match in _PATH.finditer(text)]
    clear = [mention for mention in mentions if mention.clear and mention.field in sent]
    if not clear:
        if param in _NEVER_OPTIONAL or any(mention.clear and mention.field in _NEVER_OPTIONAL for mention in mentions):
            return ()
        return tuple(
            RefusedParam(name) for name in dict.fromkeys(mention.field for mention in mentions) if name in sent
        )
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


@dataclass(frozen=True)
class _Mention:
    """A dotted path in a text.

    `field` is its first part. `nested` is True if the path has more parts, `clear` if it stands as a name.
    """

    field: str
    nested: bool
    clear: bool
    start: int
    end: int


def _mention(text: str, match: re.Match[str]) -> _Mention:
    path, start, end = match[0], match.start(), match.end()
    before, after = text[:start][-1:], text[end:][:1]
    on_own_line = before in ("", "\n") and after in ("", "\n")
    quoted = before in "'\"`" and after in "'\"`" and before != ""
    return _Mention(
        field=_first_field(path),
        nested=_is_nested(path),
        clear=on_own_line or after == ":" or quoted or "_" in path,
        start=start,
        end=end,
    )


def _first_field(path: str) -> str:
    field = re.split(r"[.\[]", path.removeprefix("body."), maxsplit=1)[0]
    return _ALIASES.get(field, field)


def _is_nested(path: str) -> bool:
    return bool(re.search(r"[.\[]", path.removeprefix("body.")))


def _refused_param(name: str, text: str, nested: bool) -> RefusedParam:
    between = _BETWEEN.search(text)
    low, high = (between[1], between[2]) if between else (None, None)
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
