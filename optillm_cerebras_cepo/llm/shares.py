"""Limits divided among processes that do not hear of each other, and put together again. Pure: time is passed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from optillm_cerebras_cepo.llm.bucket import Bucket
from optillm_cerebras_cepo.llm.limits import Limits

EXACT = 6  # decimals of a limit: a third of 100, three times, is to be 100 again


def part(limits: Limits, processes: int) -> Limits:
    """What one of so many processes may use of these limits. Before anything is known, one call at the least."""
    share = 1 / processes
    return replace(
        limits,
        buckets={window: _times(bucket, share) for window, bucket in limits.buckets.items()},
        own={window: _times(bucket, share) for window, bucket in limits.own.items()},
        # Not zero: the replies that would raise it again may be another process's.
        trial=None if limits.trial is None else max(1.0, limits.trial * share),
        share=share,
    )


def whole(limits: Limits) -> Limits:
    """The limits of which these are a part, as if every process had used as much of its own."""
    return replace(
        limits,
        buckets={window: _whole(bucket, limits.share) for window, bucket in limits.buckets.items()},
        own={window: _whole(bucket, limits.share) for window, bucket in limits.own.items()},
        share=1.0,
    )


def joined(limits: Limits, other: Limits, now: float) -> Limits:
    """What is left by both accounts of the same limits: calls were made that only one of them has. The first's rest."""
    return replace(
        limits,
        buckets={**other.buckets, **_lower(limits.buckets, other.buckets, now)},
        own=_lower(limits.own, other.own, now),
        trial=None if other.trial is None else limits.trial,
    )


def under(limits: Limits, known: Limits) -> Limits:
    """Limits that were kept, under the operator's own of today: these may be others than those that were kept."""
    own = {
        window: replace(bucket, level=min(bucket.limit, limits.own[window].level), at=limits.own[window].at)
        if window in limits.own
        else bucket
        for window, bucket in known.own.items()
    }
    return replace(limits, own=own, trial=None if known.trial is None else limits.trial)


def _times(bucket: Bucket, by: float) -> Bucket:
    return replace(bucket, limit=bucket.limit * by, capacity=bucket.capacity * by, level=bucket.level * by)


def _whole(bucket: Bucket, share: float) -> Bucket:
    limit = round(bucket.limit / share, EXACT)
    return replace(bucket, limit=limit, capacity=min(limit, bucket.capacity / share), level=bucket.level / share)


def _lower(buckets: Mapping[str, Bucket], others: Mapping[str, Bucket], now: float) -> dict[str, Bucket]:
    return {
        window: bucket.holding(min(bucket.level_at(now), others[window].level_at(now)), now)
        if window in others
        else bucket
        for window, bucket in buckets.items()
    }
