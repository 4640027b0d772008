"""What the API says of its limits: in the headers of every reply, and in the body of a refusal.

Sources: the `x-ratelimit-*` headers of inference-docs.cerebras.ai/support/rate-limits, of which not all are sent with
every reply; the codes and texts of refusals as they were recorded. A limit is a token bucket, refilled continuously.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

SECONDS = {"minute": 60.0, "hour": 3_600.0, "day": 86_400.0}
WINDOWS = tuple(f"{kind}-{unit}" for kind in ("requests", "tokens") for unit in SECONDS)
"""The windows that are counted in, under the names that they have in the headers: `requests-minute` and so on."""

_REFUSED = re.compile(r"\b(requests|tokens) per (minute|hour|day)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Allowance:
    """One window: how much of it there is in all, and how much is left."""

    limit: float
    remaining: float


Quota = Mapping[str, Allowance]


def quota_of(headers: Mapping[str, str]) -> Quota:
    """The windows that a reply's headers speak of. What cannot be read is left out. Never raises."""
    # Each `get` of httpx's headers goes through them all; of most APIs there are none to be had.
    told = {name: value for name, value in headers.items() if name.startswith("x-ratelimit-")}
    found = {}
    for window in WINDOWS if told else ():
        limit = _number(told.get(f"x-ratelimit-limit-{window}"))
        remaining = _number(told.get(f"x-ratelimit-remaining-{window}"))
        if limit is not None and remaining is not None and limit >= 1:
            found[window] = Allowance(limit, min(remaining, limit))
    return found


def refused_window(text: str) -> str:
    """The window that a refusal's text names, or nothing.

    The code does not tell a minute's tokens from a day's.

    >>> refused_window("Tokens per day limit exceeded - too many tokens processed.")
    'tokens-day'
    """
    named = _REFUSED.search(text)
    return f"{named[1]}-{named[2]}".lower() if named else ""


def unit_of(window: str) -> str:
    """The unit of a window: minute, hour or day."""
    return window.partition("-")[2]


def _number(header: str | None) -> float | None:
    try:
        value = float(header) if header is not None else math.nan
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None
