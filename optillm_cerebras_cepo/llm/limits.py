"""What is known of an API's limits, and whether a call may go out under them. Pure: time is passed in.

Each window is mirrored as the token bucket that the API keeps: a call is charged when it goes out, and the bucket fills
up again all the time. Headers and refusals mend what the mirror has wrong. A header was written at some time between
the call's going out and its reply's coming back, so it bounds the level from both sides: the bucket holds no less than
it says, without what was charged since the call went out, and no more than that with what has flowed in since.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from optillm_cerebras_cepo.llm.bucket import Bucket
from optillm_cerebras_cepo.quota import SECONDS, Quota, unit_of

TRIAL = 4  # calls that are out at once before anything is known: the smallest known limit is 5 a minute
OPEN = 1_000  # replies without a word of limits after which none is expected
MOST_CHARGED = 16_384  # tokens of a reply that admission charges at most (measured by a third party)
TRAVEL = 0.1  # seconds by which every call that went out has reached the API
GUESS = 0.9  # of what went through before the first refusal
DEARER = 1.1  # times, after a refusal of a call for which there was room, as we count
LESS, MORE = 0.8, 1.1  # what a further refusal, or a whole window without one, makes of a guess
BURST = 0.1  # of a bucket that the mirror may be off before the bucket is taken for a smaller one


@dataclass(frozen=True)
class Cost:
    """What a call is charged: itself, and its prompt's tokens with all that its reply may take."""

    requests: float = 1.0
    tokens: float = 0.0

    def of(self, window: str) -> float:
        """The part that this window counts."""
        return self.requests if window.startswith("requests") else self.tokens

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.requests + other.requests, self.tokens + other.tokens)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.requests - other.requests, self.tokens - other.tokens)


@dataclass(frozen=True)
class Ticket:
    """A call that may go out: when, at what cost, and what the API had charged by then, with it, at the least."""

    at: float
    cost: Cost
    charged: Cost


@dataclass(frozen=True)
class Wait:
    """A call that may not go out yet; `seconds` are infinite where it hangs on a reply.

    `window` is the one that is used up, `limit` its limit; without a name nothing is known yet.
    """

    seconds: float
    window: str = ""
    limit: float = 0.0


@dataclass(frozen=True)
class Limits:
    """All that is known for one API, key and model.

    Attributes:
        buckets: by window, the API's own limits.
        own: by window, the operator's; no header changes them.
        trial: calls that may go out before anything is known; None when there is no need to be careful any more.
        charged: all calls so far.
        declined: those of them that the API refused.
        answers: replies so far.
        out: calls that are out.
        least: by window, the least that any header said since no call was out.
        sent: a time a moment ago, and what had been charged by then.
        arrived: the same a moment before: those calls have reached the API.
        mark: a time about a minute ago, and what had gone through by then.
        before: the mark before that.
        dearer: how many times what is reckoned the API charges in tokens, as its refusals show.
        priced: when that was last raised.
        share: of the API's limits that is to be used here.
        minute: seconds of a minute, fewer in compressed time.

    """

    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    own: Mapping[str, Bucket] = field(default_factory=dict)
    trial: float | None = TRIAL
    charged: Cost = Cost(0, 0)
    declined: Cost = Cost(0, 0)
    answers: int = 0
    out: int = 0
    least: Mapping[str, float] = field(default_factory=dict)
    sent: tuple[float, Cost] = (-math.inf, Cost(0, 0))
    arrived: tuple[float, Cost] = (-math.inf, Cost(0, 0))
    mark: tuple[float, Cost] = (-math.inf, Cost(0, 0))
    before: tuple[float, Cost] = (-math.inf, Cost(0, 0))
    dearer: float = 1.0
    priced: float = -math.inf
    share: float = 1.0
    minute: float = 60.0

    def seconds(self, window: str) -> float:
        """The length of a window."""
        return SECONDS[unit_of(window)] * self.minute / 60


def limited(own: Mapping[str, float], now: float, minute: float = 60.0) -> Limits:
    """Limits of which only the operator's own are known, by window. A known rate of requests needs no trial."""
    limits = Limits(minute=minute)
    buckets = {window: _full(limit, limits.seconds(window), now) for window, limit in own.items()}
    return replace(limits, own=buckets, trial=None if "requests-minute" in own else TRIAL)


def room(limits: Limits, seconds: float, now: float) -> float:
    """How many calls the limits of requests let through in so many seconds from now; infinite where none is known."""
    buckets = (*limits.buckets.items(), *limits.own.items())
    counts = [
        bucket.level_at(now) + seconds * bucket.rate for window, bucket in buckets if window.startswith("requests")
    ]
    return max(0.0, min(counts, default=math.inf))


def admit(limits: Limits, cost: Cost, now: float) -> tuple[Limits, Ticket | Wait]:
    """Charge a call to every window, or to none and say how long to wait."""
    limits = _marked(limits, now)
    cost = Cost(cost.requests, cost.tokens * limits.dearer)
    buckets, own = {window: _grown(bucket, now) for window, bucket in limits.buckets.items()}, limits.own
    longest = Wait(0.0)
    for window, bucket in (*buckets.items(), *own.items()):
        if (seconds := bucket.wait(cost.of(window), now)) > longest.seconds:
            longest = Wait(seconds, window, bucket.limit)
    if longest.seconds > 0:
        return replace(limits, buckets=buckets), longest
    if limits.trial is not None and limits.trial < 1:
        return replace(limits, buckets=buckets), Wait(math.inf)
    limits = replace(
        limits,
        buckets=_charged(buckets, cost, now),
        own=_charged(own, cost, now),
        trial=None if limits.trial is None else limits.trial - 1,
        charged=limits.charged + cost,
        out=limits.out + 1,
    )
    return limits, Ticket(now, cost, limits.arrived[1] + cost)


def answered(limits: Limits, ticket: Ticket, quota: Quota, now: float) -> Limits:
    """Learn from a reply. Without a word of the requests per minute, one more call may be out than before."""
    buckets, least = _seen(limits, ticket, quota, now)
    answers, trial = limits.answers + 1, limits.trial
    if trial is not None:
        trial = None if "requests-minute" in buckets or answers >= OPEN else trial + 2
    return _settled(limits, buckets, least, answers=answers, trial=trial)


def failed(limits: Limits) -> Limits:
    """Learn nothing from a call without a reply; whether it was charged, nobody knows."""
    return _settled(limits, limits.buckets, {}, trial=None if limits.trial is None else limits.trial + 1)


def refused(limits: Limits, ticket: Ticket, window: str, quota: Quota, now: float) -> Limits:
    """Learn from a refusal: this window, if any, holds less than the call costs; the call was charged to none."""
    limits = replace(failed(limits), declined=limits.declined + ticket.cost)
    if window in quota and quota[window].remaining >= ticket.cost.of(window) and ticket.at > limits.priced:
        limits = replace(limits, dearer=limits.dearer * DEARER, priced=now)
    back = {
        name: bucket.holding(min(bucket.capacity, bucket.level_at(now) + ticket.cost.of(name)), now)
        for name, bucket in limits.buckets.items()
    }
    if tells(window, quota) or window in back:
        back[window] = _emptied(limits, back.get(window), ticket, window, quota, now)
    known = window == "requests-minute"
    return replace(limits, buckets=back, trial=None if known else limits.trial)


def tells(window: str, quota: Quota) -> bool:
    """Whether a refusal says for how long: a header has the limit, or it is a minute's, which can be guessed.

    Of an hour or a day nobody has seen enough to guess.
    """
    return window in quota or window.endswith("-minute")


def _full(limit: float, seconds: float, now: float) -> Bucket:
    return Bucket(limit, seconds, capacity=limit, level=limit, at=now)


def _charged(buckets: Mapping[str, Bucket], cost: Cost, now: float) -> dict[str, Bucket]:
    return {window: bucket.holding(bucket.level_at(now) - cost.of(window), now) for window, bucket in buckets.items()}


def _seen(limits: Limits, ticket: Ticket, quota: Quota, now: float) -> tuple[Mapping[str, Bucket], Mapping[str, float]]:
    """The buckets as a reply's headers mend them, and the least that any header said so far."""
    if not quota:
        return limits.buckets, limits.least
    buckets = dict(limits.buckets)
    since = limits.charged - ticket.charged
    for window, seen in quota.items():
        least = seen.remaining - since.of(window)
        limit = seen.limit * limits.share
        bucket = buckets.get(window)
        if bucket is None or bucket.guessed or bucket.limit != limit:
            # What is left and what has gone out is all that there was, as far as anybody can tell.
            full = min(limit, seen.remaining + limits.charged.of(window))
            bucket = Bucket(limit, limits.seconds(window), max(full, ticket.cost.of(window)), least, now)
        level = bucket.level_at(now)
        most = seen.remaining + 1 + (now - ticket.at) * bucket.rate  # a header's number is rounded down
        # With a share of the limits, what the others have left is theirs.
        level = max(level, least) if limits.share == 1 else level
        capacity = max(bucket.capacity, min(limit, seen.remaining * limits.share))
        buckets[window] = bucket.holding(min(level, most, capacity), now, capacity)
    lowest = {name: min(seen.remaining, limits.least.get(name, math.inf)) for name, seen in quota.items()}
    return buckets, {**limits.least, **lowest}


def _settled(
    limits: Limits, buckets: Mapping[str, Bucket], least: Mapping[str, float], **more: int | float | None
) -> Limits:
    """One call less is out. With none out, every charge stands in some header: there is what the least of them says."""
    out = max(0, limits.out - 1)
    if not out and limits.share == 1:
        buckets = {
            window: bucket.holding(min(bucket.capacity, max(bucket.level, least.get(window, -math.inf))), bucket.at)
            for window, bucket in buckets.items()
        }
        least = {}
    return replace(limits, buckets=buckets, least=least, out=out, **more)  # type: ignore[arg-type]


def _emptied(limits: Limits, bucket: Bucket | None, ticket: Ticket, window: str, quota: Quota, now: float) -> Bucket:
    """The bucket of the window that refused a call."""
    cost, seconds = ticket.cost.of(window), limits.seconds(window)
    if bucket is None:
        bucket = (
            _full(quota[window].limit * limits.share, seconds, now)
            if window in quota
            else replace(_full(_guess(limits, window, cost, now), seconds, now), guessed=True, changed=now)
        )
        off = False
    else:
        # The mirror held this call to be possible, with some to spare. Of calls that went out together one is enough.
        off = bucket.level > cost + BURST * bucket.capacity and ticket.at > bucket.changed
    level = min(bucket.level, quota[window].remaining if window in quota else 0.0)
    if bucket.guessed and ticket.at > bucket.changed:
        limit = max(cost, bucket.limit * LESS)
        return replace(bucket, limit=limit, capacity=limit, level=min(level, limit), changed=now)
    if off:
        return replace(bucket, capacity=max(cost, bucket.capacity / 2), level=level, changed=now)
    return replace(bucket, level=level)


def _guess(limits: Limits, window: str, cost: float, now: float) -> float:
    """A limit from what was answered lately, for an API that sends no headers."""
    since, before = limits.before if limits.before[0] > -math.inf else limits.mark
    through = (limits.charged - limits.declined - before).of(window)
    span = now - since if since > -math.inf else 0.0
    seconds = limits.seconds(window)
    return max(cost, through * GUESS * seconds / max(span, seconds))


def _grown(bucket: Bucket, now: float) -> Bucket:
    """After a whole window without a refusal, a guess is tried a little higher."""
    if not bucket.guessed or now - bucket.changed < bucket.seconds:
        return bucket
    return replace(bucket.now(now), limit=bucket.limit * MORE, capacity=bucket.limit * MORE, changed=now)


def _marked(limits: Limits, now: float) -> Limits:
    if now - limits.sent[0] >= TRAVEL:
        limits = replace(limits, sent=(now, limits.charged), arrived=limits.sent)
    if now - limits.mark[0] >= limits.minute:
        limits = replace(limits, mark=(now, limits.charged - limits.declined), before=limits.mark)
    return limits
