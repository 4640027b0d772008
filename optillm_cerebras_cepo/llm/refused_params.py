"""Reading a refusal of the API: which of the sent fields it refuses, and whether it is the field or its value. Pure.

Refusals have no fixed form. The recorded ones name a field in `param`, on a line of its own (pydantic), in quotes, or
before a colon; and quote the refused input in brackets, which is skipped here because it may hold any word.
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
# Words about a value win: "unsupported value: 'temperature' does not support 0.2" refuses 0.2, not the field.
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
        unsupported: the API takes the field from nobody. False: it refuses this value, or that cannot be told.
        at_least: the least number that it takes, where it says one.
        at_most: the largest number that it takes, where it says one.

    """

    name: str
    unsupported: bool = False
    at_least: float | None = None
    at_most: float | None = None

    def clamped(self, value: float) -> float | None:
        """Return the nearest number that the refusal allows; None where it says no bound that this number breaks."""
        bound = next(
            (
                bound
                for bound, broken in (
                    (self.at_most, self.at_most is not None and value > self.at_most),
                    (self.at_least, self.at_least is not None and value < self.at_least),
                )
                if broken
            ),
            None,
        )
        if bound is None:
            return None
        return int(bound) if isinstance(value, int) and bound == int(bound) else bound


def refused_params(api_param: str, api_text: str, sent: Mapping[str, Any]) -> tuple[RefusedParam, ...]:
    """Return the sent fields that a refusal is about, each once, in the order in which it names them.

    Args:
        api_param: the refusal's `param`; often a category such as `validation_error`.
        api_text: the refusal's message.
        sent: the request's fields by name, with their values.

    A path such as `messages.2.tool_calls` or `response_format.json_schema.name` is about its first field. A word that
    is a key inside of another named field (a schema's property called `temperature`) is not about the field of that
    name. A word in the middle of prose counts only where nothing is named more clearly, and then as a value.

    """
    text = _QUOTED_INPUT.sub("", api_text)
    api_param = api_param.strip()
    param = _root(api_param)
    if param in sent:
        return (_read(param, text, deep=bool(re.search(r"[.\[]", api_param.removeprefix("body.")))),)
    mentions = [_mention(text, match) for match in _PATH.finditer(text)]
    clear = [mention for mention in mentions if mention.clear and mention.root in sent]
    if not clear:
        if param in _NEVER_OPTIONAL or any(mention.clear and mention.root in _NEVER_OPTIONAL for mention in mentions):
            return ()
        bare = [mention.root for mention in mentions if mention.root in sent]
        return tuple(RefusedParam(name) for name in dict.fromkeys(bare))
    names = list(dict.fromkeys(mention.root for mention in clear))
    within = {key for name in names for key in _keys(sent[name])}
    found: dict[str, RefusedParam] = {}
    for place, mention in enumerate(clear):
        name = mention.root
        if name in found or (name in within and len(names) > 1):
            continue
        end = next((later.start for later in clear[place + 1 :] if later.root != name), len(text))
        about = text[mention.end : end] if len(names) > 1 else text
        found[name] = _read(name, about if _VALUE.search(about) or _UNSUPPORTED.search(about) else text, mention.deep)
    return tuple(found.values())


@dataclass(frozen=True)
class _Mention:
    """A dotted path in a text; `clear` where it stands as a name, `deep` where it leads into the field."""

    root: str
    deep: bool
    clear: bool
    start: int
    end: int


def _mention(text: str, match: re.Match[str]) -> _Mention:
    path, start, end = match[0].removeprefix("body."), match.start(), match.end()
    before, after = text[:start][-1:], text[end:][:1]
    root = _root(path)
    alone = before in ("", "\n") and after in ("", "\n")
    return _Mention(
        root=root,
        deep=bool(re.search(r"[.\[]", path)),
        clear=alone or after == ":" or (before in "'\"`" and after in "'\"`" and before != "") or "_" in path,
        start=start,
        end=end,
    )


def _root(path: str) -> str:
    root = re.split(r"[.\[]", path.removeprefix("body."), maxsplit=1)[0]
    return _ALIASES.get(root, root)


def _read(name: str, text: str, deep: bool) -> RefusedParam:
    about_value = deep or bool(_VALUE.search(text))
    between = _BETWEEN.search(text)
    low, high = (between[1], between[2]) if between else (None, None)
    if most := _AT_MOST.search(text):
        high = most[1]
    if least := _AT_LEAST.search(text):
        low = least[1]
    return RefusedParam(
        name,
        unsupported=not about_value and bool(_UNSUPPORTED.search(text)),
        at_least=None if low is None else float(low),
        at_most=None if high is None else float(high),
    )


def _keys(value: object) -> Collection[str]:
    """Every word inside of a structured value."""
    return set(re.findall(r"\w+", json.dumps(value, default=str))) if isinstance(value, dict | list) else ()
