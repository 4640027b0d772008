"""Durations of simulated calls."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Latency:
    """Duration of a call: `base` seconds, then its output at `tokens_per_second` (None: immediately).

    Each call's duration varies by up to `jitter`, a fraction from 0 to 1. With probability `slow_share` a call takes
    `slow_factor` times as long, like the slowest calls of real services. `seed` makes both repeatable. Raise ValueError
    for invalid values.
    """

    base: float = 0.0
    tokens_per_second: float | None = None
    jitter: float = 0.0
    seed: int = 0
    slow_share: float = 0.0
    slow_factor: float = 10.0

    def __post_init__(self) -> None:
        if self.base < 0:
            raise ValueError(f"latency must not be negative, not {self.base}")
        if self.tokens_per_second is not None and self.tokens_per_second <= 0:
            raise ValueError(f"tokens per second must be above 0, not {self.tokens_per_second}")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter must be from 0 to 1, not {self.jitter}")
        if not 0 <= self.slow_share <= 1:
            raise ValueError(f"slow_share must be from 0 to 1, not {self.slow_share}")
        if not self.slow_factor >= 1:
            raise ValueError(f"slow_factor must be at least 1, not {self.slow_factor}")


@dataclass(frozen=True)
class Timing:
    """Simulated seconds of one call: until the first token, and from the first to the last."""

    prompt: float
    completion: float

    @property
    def total(self) -> float:
        """Seconds of the whole call."""
        return self.prompt + self.completion

    def scaled(self, time_scale: float) -> Timing:
        """Return the same in real seconds; `time_scale` simulated seconds pass in each."""
        return Timing(self.prompt / time_scale, self.completion / time_scale)


class Sampler:
    """Draws the timings of successive calls."""

    def __init__(self, latency: Latency) -> None:
        self._latency = latency
        self._random = random.Random(latency.seed)
        self._slow = random.Random(f"slow {latency.seed}")  # separate, so that slow calls do not change the jitter

    def draw(self, tokens: int, override: float | None = None) -> Timing:
        """Return the timing of a call with this many output tokens; `override` seconds replace all of it."""
        if override is not None:
            return Timing(override, 0.0)
        jitter = self._latency.jitter
        factor = 1 + self._random.uniform(-jitter, jitter) if jitter else 1.0
        if self._latency.slow_share and self._slow.random() < self._latency.slow_share:
            factor *= self._latency.slow_factor
        rate = self._latency.tokens_per_second
        return Timing(self._latency.base * factor, tokens / rate * factor if rate else 0.0)
