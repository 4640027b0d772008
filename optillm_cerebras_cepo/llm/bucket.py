"""The mirror of one window of an API's limits: a token bucket, refilled continuously. Pure: time is passed in."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Seconds by which a call comes later than the mirror would let it, for one call may travel faster than another.
MARGIN = 0.05
# Seconds that are no wait: a clock in seconds rounds a shorter one away, and it would be asked for again without end.
TICK = 1e-6


@dataclass(frozen=True)
class Bucket:
    """The mirror of one window.

    Attributes:
        limit: what flows in within the window.
        seconds: the window's length.
        capacity: the most that it holds, as far as it was seen to: a minute's worth may not go out at once.
        level: what it held at `at`; below zero when more was charged than there was.
        at: a time, in seconds.
        guessed: whether the limit is a guess from refusals, for no header says it.
        changed: when a refusal, or a window without one, last changed it.

    """

    limit: float
    seconds: float
    capacity: float
    level: float
    at: float
    guessed: bool = False
    changed: float = -math.inf

    @property
    def rate(self) -> float:
        """What flows in within a second."""
        return self.limit / self.seconds

    def level_at(self, now: float) -> float:
        """What it holds at this time."""
        return min(self.capacity, self.level + max(0.0, now - self.at) * self.rate)

    def now(self, now: float) -> Bucket:
        """The same bucket at this time."""
        return self.holding(self.level_at(now), now)

    def holding(self, level: float, now: float, capacity: float | None = None) -> Bucket:
        """The same bucket with this level at this time, and this capacity if another is given."""
        # Not by `replace`, which takes three times as long: this is done for each window of each call, and twice.
        capacity = self.capacity if capacity is None else capacity
        return Bucket(self.limit, self.seconds, capacity, level, max(now, self.at), self.guessed, self.changed)

    def wait(self, cost: float, now: float) -> float:
        """Seconds until a call of this cost may go out; a cost beyond the capacity waits for a full bucket."""
        wanted = min(cost + MARGIN * self.rate, self.capacity)
        seconds = (wanted - self.level_at(now)) / self.rate
        return seconds if seconds > TICK else 0.0
