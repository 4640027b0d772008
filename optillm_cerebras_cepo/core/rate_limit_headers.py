"""Rate limits in the headers of replies and in the texts of refusals.

Sources: the `x-ratelimit-*` headers of inference-docs.cerebras.ai/support/rate-limits, of which a reply may have only
some, and recorded refusals. Each limit is a token bucket that is refilled continuously.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

SECONDS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
WINDOWS = tuple(f"{kind}-{unit}" for kind in ("requests", "tokens") for unit in SECONDS)
"""Names of the windows as in the headers: `requests-minute` and so on."""

_REFUSED = re.compile(r"\b(requests|tokens) per (minute|hour|day)\b", re.IGNORECASE)


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
    found = {}
    for window in WINDOWS if sent else ():
        limit = _number(sent.get(f"x-ratelimit-limit-{window}"))
        remaining = _number(sent.get(f"x-ratelimit-remaining-{window}"))
        if limit is not None and remaining is not None and limit >= 1:
            found[window] = Allowance(limit, min(remaining, limit))
    return found


def refused_window(text: str) -> str:
    """Return the window in a refusal's text, or an empty string.

    The refusal's code is the same for a minute's tokens and a day's.

    >>> refused_window("Tokens per day limit exceeded - too many tokens processed.")
    'tokens-day'
    """
    match = _REFUSED.search(text)
    return f"{match[1]}-{match[2]}".lower() if match else ""


def unit_of(window: str) -> str:
    """Return the unit of a window: minute, hour or day."""
    return window.partition("-")[2]


def _number(header: str | None) -> float | None:
    try:
        value = float(header) if header is not None else math.nan
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None
