"""Rate limits: token buckets with continuous refill, for each model; requests and tokens per minute, hour and day."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from . import problems
from .problems import Refused, Unit

Kind = Literal["requests", "tokens"]

SECONDS: dict[Unit, int] = {"minute": 60, "hour": 3_600, "day": 86_400}

# Which windows' reset headers the real API sends.
_RESETS: tuple[tuple[Kind, Unit], ...] = (("requests", "day"), ("tokens", "minute"))


@dataclass(frozen=True)
class RateLimits:
    """What one model admits; None is no limit. A bucket holds one window's worth, which is also the largest burst."""

    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    requests_per_day: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_hour: int | None = None
    tokens_per_day: int | None = None

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")

    def windows(self) -> dict[tuple[Kind, Unit], int]:
        """The limits that are set, requests first."""
        every: dict[tuple[Kind, Unit], int | None] = {
            ("requests", "minute"): self.requests_per_minute,
            ("requests", "hour"): self.requests_per_hour,
            ("requests", "day"): self.requests_per_day,
            ("tokens", "minute"): self.tokens_per_minute,
            ("tokens", "hour"): self.tokens_per_hour,
            ("tokens", "day"): self.tokens_per_day,
        }
        return {window: limit for window, limit in every.items() if limit is not None}


UNLIMITED = RateLimits()

FREE_TIER = RateLimits(
    requests_per_minute=5,
    requests_per_hour=150,
    requests_per_day=2_400,
    tokens_per_minute=30_000,
    tokens_per_day=1_000_000,
)
"""The free tier of 2026, from its documentation and its headers."""

DEVELOPER_TIER = RateLimits(requests_per_minute=1_000, tokens_per_minute=1_000_000)
"""The developer tier of 2026 for gpt-oss-120b."""


class Bucket:
    """A token bucket: starts full, refills continuously, never holds more than `capacity`."""

    def __init__(self, capacity: float, seconds: float, now: float) -> None:
        self.capacity = capacity
        self._rate = capacity / seconds
        self._level = capacity
        self._seen = now

    def level(self, now: float) -> float:
        """What is in the bucket at this time; a clock that goes back adds nothing."""
        if now > self._seen:
            self._level = min(self.capacity, self._level + (now - self._seen) * self._rate)
            self._seen = now
        return self._level

    def take(self, amount: float, now: float) -> bool:
        """Take all of the amount, or nothing and return False."""
        if amount > self.level(now):
            return False
        self._level -= amount
        return True

    def seconds_until_full(self, now: float) -> float:
        """The seconds until nothing is missing."""
        return (self.capacity - self.level(now)) / self._rate


class Limiter:
    """Admits calls or refuses them. `clock` gives simulated seconds; `time_scale` of them pass in one real second."""

    def __init__(self, limits: RateLimits, clock: Callable[[], float], time_scale: float = 1.0) -> None:
        self._windows = limits.windows()
        self._clock = clock
        self._time_scale = time_scale
        self._buckets: dict[str, dict[tuple[Kind, Unit], Bucket]] = {}

    def admit(self, model: str, tokens: int) -> None:
        """Charge one request and its tokens to every window of the model, or to none. Raises Refused with a 429."""
        now = self._clock()
        buckets = self._of(model)
        cost: dict[Kind, int] = {"requests": 1, "tokens": tokens}
        for (kind, unit), bucket in buckets.items():
            if cost[kind] > bucket.level(now):
                refusal = problems.request_quota_exceeded if kind == "requests" else problems.token_quota_exceeded
                raise Refused(refusal(unit))
        for (kind, _), bucket in buckets.items():
            bucket.take(cost[kind], now)

    def headers(self, model: str) -> dict[str, str]:
        """The x-ratelimit headers as they stand. Resets are in the client's seconds: what it should wait."""
        now = self._clock()
        found: dict[str, str] = {}
        for (kind, unit), bucket in self._of(model).items():
            found[f"x-ratelimit-limit-{kind}-{unit}"] = str(int(bucket.capacity))
            found[f"x-ratelimit-remaining-{kind}-{unit}"] = str(int(bucket.level(now)))
            if (kind, unit) in _RESETS:
                found[f"x-ratelimit-reset-{kind}-{unit}"] = str(bucket.seconds_until_full(now) / self._time_scale)
        return found

    def _of(self, model: str) -> dict[tuple[Kind, Unit], Bucket]:
        if model not in self._buckets:
            now = self._clock()
            self._buckets[model] = {
                (kind, unit): Bucket(limit, SECONDS[unit], now) for (kind, unit), limit in self._windows.items()
            }
        return self._buckets[model]
