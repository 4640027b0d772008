"""Rules of rate limits: whether a call may go out, and what replies teach. Pure: the time is passed in.

Each window is a copy of the token bucket that the API has. A call is charged when it goes out, and the bucket refills
continuously. Headers and refusals correct the copy. A header is written at some time between the departure of
its call and the arrival of the reply, so it bounds the level from both sides:

- at least: the header's number, minus what was charged since the call went out;
- at most: the header's number, plus what was refilled since the call went out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from optillm_cerebras_cepo.core.rate_limit_headers import Quota
from optillm_cerebras_cepo.llm.rate_limits.limits import Bucket, Cost, Limits, Permit, Wait, full_bucket

REPLIES_WITHOUT_LIMITS = 1_000  # replies without rate-limit headers after which none are expected
MAX_CHARGED_REPLY = 16_384  # tokens of a reply that the API charges at most on admission (measured by a third party)
TRAVEL_SECONDS = 0.1  # after this time, every call that went out has reached the API
GUESS_FACTOR = 0.9  # a first guess, as a share of what the API accepted before its first refusal
GUESS_DECREASE, GUESS_INCREASE = 0.8, 1.1  # of a guess, after a further refusal and after a window without one
MULTIPLIER_STEP = 1.1  # of the cost multiplier, after a refusal although the header shows room for the call
MOST_WINDOWS = 24  # that are kept: whatever names an API sends, the memory for them is bounded
CAPACITY_TOLERANCE = 0.1  # share of a bucket by which the copy may be wrong before its capacity is lowered


def calls_within(limits: Limits, seconds: float, now: float) -> float:
    """Return how many calls the limits of requests allow in so many seconds from now; infinite if none is known."""
    counts = [
        bucket.level_at(now) + seconds * bucket.rate
        for window, bucket in (*limits.buckets.items(), *limits.operator_limits.items())
        if "requests-" in window
    ]
    return max(0.0, min(counts, default=math.inf))


def has_room(limits: Limits, cost: Cost, now: float) -> bool:
    """Return whether every known limit has this much left."""
    buckets = (*limits.buckets.items(), *limits.operator_limits.items())
    learned = limits.initial_window is None or limits.initial_window >= cost.requests
    return learned and all(bucket.level_at(now) >= cost.units(window) for window, bucket in buckets)


def admit(limits: Limits, cost: Cost, now: float) -> tuple[Limits, Permit | Wait]:
    """Charge a call to every window, or to none of them and return how long to wait."""
    limits = _with_checkpoints(limits, now)
    cost = Cost(cost.requests, cost.tokens * limits.cost_multiplier)
    buckets = {window: _raise_guess(bucket, now) for window, bucket in limits.buckets.items()}
    longest = Wait(0.0)
    for window, bucket in (*buckets.items(), *limits.operator_limits.items()):
        if (seconds := bucket.wait(cost.units(window), now)) > longest.seconds:
            longest = Wait(seconds, window, bucket.limit)
    if longest.seconds > 0:
        return replace(limits, buckets=buckets), longest
    if limits.initial_window is not None and limits.initial_window < 1:
        return replace(limits, buckets=buckets), Wait(math.inf)
    limits = replace(
        limits,
        buckets=_charge(buckets, cost, now),
        operator_limits=_charge(limits.operator_limits, cost, now),
        initial_window=None if limits.initial_window is None else limits.initial_window - 1,
        total_cost=limits.total_cost + cost,
        in_flight=limits.in_flight + 1,
    )
    return limits, Permit(now, cost, limits.arrived[1] + cost)


def record_reply(limits: Limits, permit: Permit, quota: Quota, now: float) -> Limits:
    """Learn from a reply. As long as no header states the requests a minute, each reply allows two more calls."""
    buckets, lowest = _from_headers(limits, permit, quota, now)
    replies, initial = limits.replies + 1, limits.initial_window
    if initial is not None:
        initial = None if "requests-minute" in buckets or replies >= REPLIES_WITHOUT_LIMITS else initial + 2
    return _finish_call(limits, buckets, lowest, replies=replies, initial_window=initial)


def record_failure(limits: Limits) -> Limits:
    """Count a call without a reply as finished. Nobody knows whether the API charged it."""
    initial = limits.initial_window
    return _finish_call(limits, limits.buckets, {}, initial_window=None if initial is None else initial + 1)


def record_refusal(limits: Limits, permit: Permit, window: str, quota: Quota, now: float) -> Limits:
    """Learn from a 429: the named window, if any, has less than the call costs, and no window was charged."""
    limits = replace(record_failure(limits), refused_cost=limits.refused_cost + permit.cost)
    room = window in quota and quota[window].remaining >= permit.cost.units(window)
    if room and permit.at > limits.multiplier_raised_at:
        raised = limits.cost_multiplier * MULTIPLIER_STEP
        limits = replace(limits, cost_multiplier=raised, multiplier_raised_at=now)
    buckets = {
        name: bucket.with_level(min(bucket.capacity, bucket.level_at(now) + permit.cost.units(name)), now)
        for name, bucket in limits.buckets.items()
    }
    if wait_is_known(window, quota) or window in buckets:
        buckets[window] = _refused_bucket(replace(limits, buckets=buckets), permit, window, quota, now)
    initial = None if window == "requests-minute" else limits.initial_window
    return replace(limits, buckets=buckets, initial_window=initial)


def wait_is_known(window: str, quota: Quota) -> bool:
    """Return True if a refusal shows how long to wait: a header states the limit, or a minute's limit can be guessed.

    An hour's or a day's limit is not guessed: too little of the window was observed.
    """
    return window in quota or window.endswith("-minute")


def _charge(buckets: Mapping[str, Bucket], cost: Cost, now: float) -> dict[str, Bucket]:
    return {
        window: bucket.with_level(bucket.level_at(now) - cost.units(window), now) for window, bucket in buckets.items()
    }


def _from_headers(
    limits: Limits, permit: Permit, quota: Quota, now: float
) -> tuple[Mapping[str, Bucket], Mapping[str, float]]:
    """Return the buckets as a reply's headers correct them, and the lowest numbers of the headers so far."""
    if not quota:
        return limits.buckets, limits.lowest_remaining
    buckets = dict(limits.buckets)
    charged_since = limits.total_cost - permit.arrived_cost
    for window, seen in quota.items():
        at_least = seen.remaining - charged_since.units(window)
        limit = seen.limit * limits.share
        bucket = buckets.get(window)
        if bucket is None and len(buckets) >= MOST_WINDOWS:
            continue
        if bucket is None or bucket.guessed or bucket.limit != limit:
            # As far as can be observed, the bucket held what is left and what was charged.
            full = min(limit, seen.remaining + limits.total_cost.units(window))
            capacity = max(full, permit.cost.units(window))
            bucket = Bucket(limit, limits.window_seconds(window), capacity, at_least, now)
        at_most = seen.remaining + 1 + (now - permit.at) * bucket.rate  # a header's number is rounded down
        level = bucket.level_at(now)
        # A process with a share of the limits must not take what is left for the other processes.
        level = max(level, at_least) if limits.share == 1 else level
        capacity = max(bucket.capacity, min(limit, seen.remaining * limits.share))
        buckets[window] = bucket.with_level(min(level, at_most, capacity), now, capacity)
    known = limits.lowest_remaining
    lowest = {name: min(quota[name].remaining, known.get(name, math.inf)) for name in quota.keys() & buckets.keys()}
    return buckets, {**known, **lowest}


def _finish_call(
    limits: Limits, buckets: Mapping[str, Bucket], lowest: Mapping[str, float], **changes: int | float | None
) -> Limits:
    """Count one call less in flight.

    With none in flight, the lowest header includes every charge, so the level is at least that number.
    """
    in_flight = max(0, limits.in_flight - 1)
    if not in_flight and limits.share == 1:
        buckets = {
            window: bucket.with_level(min(bucket.capacity, max(bucket.level, lowest.get(window, -math.inf))), bucket.at)
            for window, bucket in buckets.items()
        }
        lowest = {}
    # One `replace` for all of it: it takes as long as the rest of this function.
    return replace(limits, buckets=buckets, lowest_remaining=lowest, in_flight=in_flight, **changes)  # type: ignore[arg-type]


def _refused_bucket(limits: Limits, permit: Permit, window: str, quota: Quota, now: float) -> Bucket:
    """Return the bucket of the window that refused a call."""
    cost, seconds, bucket = permit.cost.units(window), limits.window_seconds(window), limits.buckets.get(window)
    burst_too_large = False
    if bucket is not None:
        # The bucket had room for the call and more. Of calls that went out together, only the first one counts.
        spare = bucket.level - cost
        burst_too_large = spare > CAPACITY_TOLERANCE * bucket.capacity and permit.at > bucket.changed_at
    elif window in quota:
        bucket = full_bucket(quota[window].limit * limits.share, seconds, now)
    else:
        bucket = replace(full_bucket(_guess(limits, window, cost, now), seconds, now), guessed=True, changed_at=now)
    level = min(bucket.level, quota[window].remaining if window in quota else 0.0)
    if bucket.guessed and permit.at > bucket.changed_at:
        limit = max(cost, bucket.limit * GUESS_DECREASE)
        return replace(bucket, limit=limit, capacity=limit, level=min(level, limit), changed_at=now)
    if burst_too_large:
        return replace(bucket, capacity=max(cost, bucket.capacity / 2), level=level, changed_at=now)
    return replace(bucket, level=level)


def _guess(limits: Limits, window: str, cost: float, now: float) -> float:
    """Return a limit estimated from what was accepted lately, for an API that sends no headers."""
    since, before = limits.two_minutes_ago if limits.two_minutes_ago[0] > -math.inf else limits.minute_ago
    accepted = (limits.total_cost - limits.refused_cost - before).units(window)
    elapsed = now - since if since > -math.inf else 0.0
    seconds = limits.window_seconds(window)
    return max(cost, accepted * GUESS_FACTOR * seconds / max(elapsed, seconds))


def _raise_guess(bucket: Bucket, now: float) -> Bucket:
    """Raise a guessed limit a little after a whole window without a refusal."""
    if not bucket.guessed or now - bucket.changed_at < bucket.seconds:
        return bucket
    limit = bucket.limit * GUESS_INCREASE
    return replace(bucket.with_level(bucket.level_at(now), now), limit=limit, capacity=limit, changed_at=now)


def _with_checkpoints(limits: Limits, now: float) -> Limits:
    if now - limits.latest[0] >= TRAVEL_SECONDS:
        limits = replace(limits, latest=(now, limits.total_cost), arrived=limits.latest)
    if now - limits.minute_ago[0] >= limits.minute:
        accepted = limits.total_cost - limits.refused_cost
        limits = replace(limits, minute_ago=(now, accepted), two_minutes_ago=limits.minute_ago)
    return limits
