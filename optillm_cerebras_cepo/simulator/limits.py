"""Rate limits of each model: token buckets for requests and tokens per minute, hour and day."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from . import problems
from .problems import Refused, Unit

Quantity = Literal["requests", "tokens", "uncached-tokens"]

SECONDS: dict[Unit, int] = {"minute": 60, "hour": 3_600, "day": 86_400}

# Windows whose reset headers the real API sends.
_RESETS: tuple[tuple[Quantity, Unit], ...] = (("requests", "day"), ("tokens", "minute"))


@dataclass(frozen=True)
class RateLimits:
    """Rate limits of one model; None means unlimited. A bucket holds one window's limit, which is the largest burst.

    `uncached_tokens_per_minute` leaves out the prompt's tokens that the cache has; its name in headers and texts is
    [assumed]. `burst` is a smaller capacity of the bucket for requests per minute: with 300 requests per minute and a
    burst of 10, the eleventh simultaneous request is refused, and 5 per second are admitted. Raise ValueError for
    invalid limits.
    """

    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_hour: int | None = None
    tokens_per_day: int | None = None
    uncached_tokens_per_minute: int | None = None
    burst: int | None = None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if self.burst is not None and self.burst > (self.requests_per_minute or 0):
            raise ValueError(f"burst must be at most requests_per_minute, not {self.burst}")

    def windows(self) -> dict[tuple[Quantity, Unit], int]:
        """Return the limits that are set, requests first."""
        every: dict[tuple[Quantity, Unit], int | None] = {
            ("requests", "minute"): self.requests_per_minute,
            ("requests", "hour"): self.requests_per_hour,
            ("requests", "day"): self.requests_per_day,
            ("tokens", "minute"): self.tokens_per_minute,
            ("tokens", "hour"): self.tokens_per_hour,
            ("tokens", "day"): self.tokens_per_day,
            ("uncached-tokens", "minute"): self.uncached_tokens_per_minute,
        }
        return {window: limit for window, limit in every.items() if limit is not None}


FLEX_FACTOR = 3
"""Limits of tier `flex`, in multiples of the others: "several multiples". [assumed]"""

UNLIMITED = RateLimits()

FREE_TIER = RateLimits(
    requests_per_minute=5,
    requests_per_hour=150,
    requests_per_day=2_400,
    tokens_per_minute=30_000,
    tokens_per_day=1_000_000,
)
"""Free tier of 2026, from documentation and response headers."""

DEVELOPER_TIER = RateLimits(requests_per_minute=1_000, tokens_per_minute=1_000_000)
"""Developer tier of 2026 for gpt-oss-120b."""


def parse_windows(text: str) -> frozenset[tuple[Quantity, Unit]]:
    """Return the windows with headers: `all`, `none`, or a list such as `requests-day,tokens-minute`.

    Raise ValueError for unknown windows.
    """
    kinds: tuple[Quantity, ...] = ("requests", "tokens", "uncached-tokens")
    every: dict[str, tuple[Quantity, Unit]] = {f"{kind}-{unit}": (kind, unit) for kind in kinds for unit in SECONDS}
    names = {"all": list(every), "none": []}.get(text, text.split(","))
    found = []
    for name in map(str.strip, names):
        if name not in every:
            close = difflib.get_close_matches(name, [*every, "all", "none"], n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: all, none, {', '.join(every)}"
            raise ValueError(f"limit_headers: unknown window {name!r}; {hint}")
        found.append(every[name])
    return frozenset(found)


class TokenBucket:
    """Token bucket: starts full, and refills continuously with `window` tokens in `seconds`.

    It holds at most `capacity` tokens, by default `window`.
    """

    def __init__(self, window: float, seconds: float, now: float, capacity: float | None = None) -> None:
        self.window = window
        self.capacity = window if capacity is None else capacity
        self._rate = window / seconds
        self._level = self.capacity
        self._seen = now

    def level(self, now: float) -> float:
        """Return the tokens in the bucket at this time; a clock that goes back adds none."""
        if now > self._seen:
            self._level = min(self.capacity, self._level + (now - self._seen) * self._rate)
            self._seen = now
        return self._level

    def take(self, amount: float, now: float) -> bool:
        """Take the whole amount, or take nothing and return False."""
        if amount > self.level(now):
            return False
        self._level -= amount
        return True

    def seconds_until_full(self, now: float) -> float:
        """Return the seconds until the bucket is full."""
        return (self.capacity - self.level(now)) / self._rate


class Limiter:
    """Admits calls or refuses them.

    Args:
        limits: of each model.
        clock: returns simulated seconds.
        time_scale: simulated seconds in one real second.
        shown: windows with headers.

    """

    def __init__(
        self, limits: RateLimits, clock: Callable[[], float], time_scale: float = 1.0, shown: str = "all"
    ) -> None:
        self._windows = limits.windows()
        self._burst = limits.burst
        self._shown = parse_windows(shown)
        self._clock = clock
        self._time_scale = time_scale
        self._buckets: dict[tuple[str, bool], dict[tuple[Quantity, Unit], TokenBucket]] = {}

    def admit(self, model: str, tokens: int, cached: int = 0, tier: str | None = None) -> str:
        """Charge a request and its tokens to all windows, or raise Refused with 429 and charge none.

        Return the service tier that admitted the call. A call of tier `flex` is charged to windows of that tier's; one
        of tier `auto` too, if those of the model have no room. `cached` are those of the tokens that the cache has.
        """
        if tier != "auto":
            self._charge(model, tokens, cached, flex=tier == "flex")
            return tier or "default"
        try:
            self._charge(model, tokens, cached, flex=False)
        except Refused:
            self._charge(model, tokens, cached, flex=True)
            return "flex"
        return "default"

    def _charge(self, model: str, tokens: int, cached: int, flex: bool) -> None:
        now = self._clock()
        buckets = self._buckets_of(model, flex)
        cost: dict[Quantity, int] = {"requests": 1, "tokens": tokens, "uncached-tokens": tokens - cached}
        for (kind, unit), bucket in buckets.items():
            if cost[kind] > bucket.level(now):
                if kind == "requests":
                    raise Refused(problems.request_quota_exceeded(unit))
                raise Refused(problems.token_quota_exceeded(unit, uncached=kind != "tokens"))
        for (kind, _), bucket in buckets.items():
            bucket.take(cost[kind], now)

    def headers(self, model: str, flex: bool = False) -> dict[str, str]:
        """Return the current x-ratelimit headers. Resets are in real seconds, as the client should wait."""
        now = self._clock()
        found: dict[str, str] = {}
        for (kind, unit), bucket in self._buckets_of(model, flex).items():
            if (kind, unit) not in self._shown:
                continue
            found[f"x-ratelimit-limit-{kind}-{unit}"] = str(int(bucket.window))
            found[f"x-ratelimit-remaining-{kind}-{unit}"] = str(int(bucket.level(now)))
            if (kind, unit) in _RESETS:
                found[f"x-ratelimit-reset-{kind}-{unit}"] = str(bucket.seconds_until_full(now) / self._time_scale)
        return found

    def _buckets_of(self, model: str, flex: bool) -> dict[tuple[Quantity, Unit], TokenBucket]:
        if (model, flex) not in self._buckets:
            now, factor = self._clock(), FLEX_FACTOR if flex else 1
            bursts = {("requests", "minute"): self._burst}
            self._buckets[model, flex] = {
                window: TokenBucket(limit * factor, SECONDS[window[1]], now, bursts.get(window))
                for window, limit in self._windows.items()
            }
        return self._buckets[model, flex]
