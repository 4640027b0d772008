"""Token bucket: our copy of one rate-limit window of the API. Pure: the time is passed in."""

from __future__ import annotations

import math
from dataclasses import dataclass

# Seconds by which a call goes out later than the bucket would allow: one call may reach the API faster than another.
MARGIN = 0.05
# Seconds; a shorter wait counts as none. A clock may round it away, and the call would try again without end.
MIN_WAIT = 1e-6


@dataclass(frozen=True)
class Bucket:
    """Token bucket of one window, refilled continuously.

    Attributes:
        limit: units refilled within one window.
        seconds: length of the window.
        capacity: largest level that was observed. It can be below `limit` where the API allows only small bursts.
        level: units at time `at`; negative when more was charged than was there.
        at: time of `level`, in seconds.
        guessed: True if the limit was estimated from refusals because no header states it.
        changed_at: when a refusal, or a window without one, last changed the bucket.

    """

    limit: float
    seconds: float
    capacity: float
    level: float
    at: float
    guessed: bool = False
    changed_at: float = -math.inf

    @property
    def rate(self) -> float:
        """Units refilled per second."""
        return self.limit / self.seconds

    def level_at(self, now: float) -> float:
        """Return the level at this time."""
        return min(self.capacity, self.level + max(0.0, now - self.at) * self.rate)

    def with_level(self, level: float, now: float, capacity: float | None = None) -> Bucket:
        """Return this bucket with another level at this time, and another capacity if one is given."""
        # `replace` takes three times as long, and this runs twice for each window of each call.
        capacity = self.capacity if capacity is None else capacity
        return Bucket(self.limit, self.seconds, capacity, level, max(now, self.at), self.guessed, self.changed_at)

    def wait(self, cost: float, now: float) -> float:
        """Return seconds until a call of this cost may go out; a cost above the capacity waits for a full bucket."""
        needed = min(cost + MARGIN * self.rate, self.capacity)
        seconds = (needed - self.level_at(now)) / self.rate
        return seconds if seconds > MIN_WAIT else 0.0


def full_bucket(limit: float, seconds: float, now: float) -> Bucket:
    """Return a full bucket of this limit."""
    return Bucket(limit, seconds, capacity=limit, level=limit, at=now)
