"""The records of a rate limiter: token buckets, and the limits that several processes divide.

A bucket is our copy of one rate-limit window of the API. Everything here is pure: the time is passed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from optillm_cerebras_cepo.core.rate_limit_headers import SECONDS, unit_of

# Seconds by which a call goes out later than the bucket would allow: one call may reach the API faster than another.
MARGIN = 0.05
# Seconds; a shorter wait counts as none. A clock may round it away, and the call would try again without end.
MIN_WAIT = 1e-6

INITIAL_WINDOW = 4  # calls in flight before any limit is known: the smallest known limit is 5 a minute
LIMIT_DIGITS = 6  # decimals of a limit, so that three thirds of 100 are exactly 100


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


@dataclass(frozen=True)
class Cost:
    """What a call is charged: one request, and the tokens of its prompt plus its whole reply limit."""

    requests: float = 1.0
    tokens: float = 0.0

    def units(self, window: str) -> float:
        """Return the part that this window counts."""
        return self.requests if "requests-" in window else self.tokens

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.requests + other.requests, self.tokens + other.tokens)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.requests - other.requests, self.tokens - other.tokens)


@dataclass(frozen=True)
class Permit:
    """Permission for one call.

    `at` is the time at which it was charged. `arrived_cost` is a lower bound of what the API has charged by then, this
    call included.
    """

    at: float
    cost: Cost
    arrived_cost: Cost


@dataclass(frozen=True)
class Wait:
    """Answer for a call that may not go out yet.

    `seconds` is infinite if the call has to wait for a reply to another call. `window` is the window that is used up,
    and `limit` its limit; `window` is empty if no limit is known yet.
    """

    seconds: float
    window: str = ""
    limit: float = 0.0


Checkpoint = tuple[float, Cost]
"""A time, and the total cost by then."""

NO_CHECKPOINT: Checkpoint = (-math.inf, Cost(0, 0))


@dataclass(frozen=True)
class Limits:
    """All that is known of the limits for one API, key and model.

    Attributes:
        buckets: the API's limits, by window.
        operator_limits: the operator's limits, by window. No header changes them.
        initial_window: calls that may still go out before a limit is known; None for no such restriction.
        total_cost: of all calls so far.
        refused_cost: of the calls that the API refused.
        replies: number of replies so far.
        in_flight: number of calls without a reply.
        lowest_remaining: by window, the lowest number that a header had since `in_flight` was last 0.
        latest: checkpoint of the last TRAVEL_SECONDS or earlier.
        arrived: the checkpoint before that. The calls up to it have reached the API.
        minute_ago: checkpoint about a minute ago, without refused calls.
        two_minutes_ago: the checkpoint before that.
        cost_multiplier: factor by which the API charges more tokens than we estimate, as its refusals show.
        multiplier_raised_at: when the factor was last raised.
        share: of the API's limits that this process may use, 0..1.
        minute: seconds of a minute, fewer in compressed time.

    """

    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    operator_limits: Mapping[str, Bucket] = field(default_factory=dict)
    initial_window: float | None = INITIAL_WINDOW
    total_cost: Cost = Cost(0, 0)
    refused_cost: Cost = Cost(0, 0)
    replies: int = 0
    in_flight: int = 0
    lowest_remaining: Mapping[str, float] = field(default_factory=dict)
    latest: Checkpoint = NO_CHECKPOINT
    arrived: Checkpoint = NO_CHECKPOINT
    minute_ago: Checkpoint = NO_CHECKPOINT
    two_minutes_ago: Checkpoint = NO_CHECKPOINT
    cost_multiplier: float = 1.0
    multiplier_raised_at: float = -math.inf
    share: float = 1.0
    minute: float = 60.0

    def window_seconds(self, window: str) -> float:
        """Return the length of a window."""
        return SECONDS[unit_of(window)] * self.minute / 60


def initial_limits(operator_limits: Mapping[str, float], now: float, minute: float = 60.0) -> Limits:
    """Return the limits before the first reply. An operator's limit of requests a minute replaces `initial_window`."""
    limits = Limits(minute=minute)
    return replace(
        limits,
        operator_limits={
            window: full_bucket(limit, limits.window_seconds(window), now) for window, limit in operator_limits.items()
        },
        initial_window=None if "requests-minute" in operator_limits else INITIAL_WINDOW,
    )


def divide(limits: Limits, processes: int) -> Limits:
    """Return the share of one of so many processes."""
    share = 1 / processes

    def divided(bucket: Bucket) -> Bucket:
        return replace(bucket, limit=bucket.limit * share, capacity=bucket.capacity * share, level=bucket.level * share)

    initial = limits.initial_window
    return replace(
        _map_buckets(limits, divided),
        # At least one call: the replies that would allow more may go to another process.
        initial_window=None if initial is None else max(1.0, initial * share),
        share=share,
    )


def undivide(limits: Limits) -> Limits:
    """Return the whole limits, as if each process had used as much of its share as this one."""

    def whole(bucket: Bucket) -> Bucket:
        limit = round(bucket.limit / limits.share, LIMIT_DIGITS)
        capacity = min(limit, bucket.capacity / limits.share)
        return replace(bucket, limit=limit, capacity=capacity, level=bucket.level / limits.share)

    return replace(_map_buckets(limits, whole), share=1.0)


def merge(limits: Limits, other: Limits, now: float) -> Limits:
    """Return the first limits with the lower level of each bucket: each record lacks calls of the other."""
    return replace(
        limits,
        buckets={**other.buckets, **_lower_levels(limits.buckets, other.buckets, now)},
        operator_limits=_lower_levels(limits.operator_limits, other.operator_limits, now),
        initial_window=None if other.initial_window is None else limits.initial_window,
    )


def with_operator_limits(stored: Limits, configured: Limits) -> Limits:
    """Return stored limits with the operator limits that are configured now; these may have changed since."""
    operator_limits = {
        window: replace(bucket, level=min(bucket.limit, before.level), at=before.at)
        if (before := stored.operator_limits.get(window))
        else bucket
        for window, bucket in configured.operator_limits.items()
    }
    initial = None if configured.initial_window is None else stored.initial_window
    return replace(stored, operator_limits=operator_limits, initial_window=initial)


def _map_buckets(limits: Limits, change: Callable[[Bucket], Bucket]) -> Limits:
    return replace(
        limits,
        buckets={window: change(bucket) for window, bucket in limits.buckets.items()},
        operator_limits={window: change(bucket) for window, bucket in limits.operator_limits.items()},
    )


def _lower_levels(buckets: Mapping[str, Bucket], others: Mapping[str, Bucket], now: float) -> dict[str, Bucket]:
    return {
        window: bucket.with_level(min(bucket.level_at(now), other.level_at(now)), now)
        if (other := others.get(window))
        else bucket
        for window, bucket in buckets.items()
    }
