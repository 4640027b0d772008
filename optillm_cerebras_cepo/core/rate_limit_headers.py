"""Rate limits in the headers of replies and in the texts of refusals.

Sources: the `x-ratelimit-*` headers of inference-docs.cerebras.ai/support/rate-limits, of which a reply may have only
some, and recorded refusals. Each limit is a token bucket that is refilled continuously. A limit that is named in
another way, such as uncached tokens a minute, is a window of its own: what it counts beside it is not known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

SECONDS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
KINDS = ("requests", "tokens")
WINDOWS = tuple(f"{kind}-{unit}" for kind in KINDS for unit in SECONDS)
"""Names of the documented windows, as in the headers: `requests-minute` and so on."""

_LIMIT, _REMAINING = "x-ratelimit-limit-", "x-ratelimit-remaining-"
_REFUSED = re.compile(
    r"\b(?:(uncached|cached|total|input|output|prompt|completion)[ -])?(requests|tokens) per (minute|hour|day)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Allowance:
    """Limit of one window, and what remains of it."""

    limit: float
    remaining: float


Quota = Mapping[str, Allowance]


def quota_of(headers: Mapping[str, str]) -> Quota:
    """Return the windows in a reply's headers, without invalid ones. Never raises."""
    # Each `get` of httpx's headers is a search through all of them, and most APIs send no limits.
    sent = {name: value for name, value in headers.items() if name.startswith("x-ratelimit-")}
    found: dict[str, Allowance] = {}
    for name, value in sent.items():
        window = _window(name[len(_LIMIT) :]) if name.startswith(_LIMIT) else None
        limit, remaining = _number(value), _number(sent.get(_REMAINING + name[len(_LIMIT) :]))
        if window and limit is not None and remaining is not None and limit >= 1:
            found[window] = Allowance(limit, min(remaining, limit))
    return found


def refused_window(text: str) -> str:
    """Return the window in a refusal's text, or an empty string.

    The refusal's code is the same for a minute's tokens and a day's.

    >>> refused_window("Tokens per day limit exceeded - too many tokens processed.")
    'tokens-day'
    """
    match = _REFUSED.search(text)
    return "-".join(filter(None, match.groups())).lower() if match else ""


def unit_of(window: str) -> str:
    """Return the unit of a window: minute, hour or day."""
    return window.rpartition("-")[2]


@lru_cache(maxsize=64)
def _window(name: str) -> str | None:
    """Return the window that a header's name means, its kind and unit at the end; None for any other header."""
    words = name.split("-")
    ends = [next((word for word in words if word in known), "") for known in (KINDS, SECONDS)]
    first = [word for word in words if word not in ends]
    return "-".join([*first, *ends]) if all(ends) and all(word.isalpha() for word in first) else None


def _number(header: str | None) -> float | None:
    try:
        value = float(header) if header is not None else math.nan
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None
