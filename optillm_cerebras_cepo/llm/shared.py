"""The limits of several processes, kept in Redis: all of them charge the same buckets, and each learns for all.

The limits change by the compare and set of Redis, so the rules stay the pure functions of `limits.py`. The time is that
of Redis, so there is one clock. When Redis goes away nobody waits for it: each process goes on with its share of what
was known last, and a thread looks for Redis until it is back.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from optillm_cerebras_cepo.deadline import Deadline, unlimited
from optillm_cerebras_cepo.errors import BadConfiguration, CepoError
from optillm_cerebras_cepo.llm.limits import Limits, Ticket, Wait, failed
from optillm_cerebras_cepo.llm.pace import Known, LocalBooks
from optillm_cerebras_cepo.llm.shares import joined, part, under, whole

PREFIX = "cepo_cerebras:pace:"
POLL = 0.1  # seconds after which others may have changed the limits
PATIENCE = 0.5  # seconds that one answer of Redis may take
AGAIN = 1.0  # seconds between two looks for a Redis that is away
BEAT, SILENT = 2.0, 15.0  # seconds between a process's signs of life, and after which it does not count any more
KEPT = 86_400  # seconds: every window is full again after a day
UNLEARNT = 60  # seconds that the calls of a process that died may keep the others from trying
WRONG = "CEPO_CEREBRAS_REDIS_URL must be the address of a Redis, as redis://host:6379"

logger = logging.getLogger("optillm_cerebras_cepo")
T = TypeVar("T")
_LIMITS = TypeAdapter(Limits)


class Shared:
    """The Redis where processes keep what they know of limits.

    Args:
        url: its address, with the password if there is one. It is not connected to before the first call.

    Raises:
        BadConfiguration: this is no address of a Redis.

    """

    def __init__(self, url: str) -> None:
        try:
            self.client = Redis.from_url(
                url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 0)
            )
            pool = self.client.connection_pool
            where = pool.connection_class(**pool.connection_kwargs)  # an unknown option in the address shows here
        except (ValueError, TypeError, RedisError):
            raise BadConfiguration(WRONG) from None  # the error may quote a part of the password
        self.process = uuid.uuid4().hex
        self.up = True
        self._where = getattr(where, "path", "") or f"{getattr(where, 'host', '')}:{getattr(where, 'port', '')}"
        self._lock = threading.Lock()
        self._closed = threading.Event()
        # One thread asks Redis, in the order in which it is told to. Callers wait for it until their own deadline, so a
        # slow Redis holds up nobody for longer.
        self._thread = ThreadPoolExecutor(1, "cepo-cerebras-redis")

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have this done on the thread that asks Redis."""
        return self._thread.submit(work)

    def books(self, name: tuple[str, ...], known: Known) -> SharedBooks:
        """Open the limits of this name, from what is known when nobody has kept any."""
        return SharedBooks(self, name, known)

    def lost(self, error: Exception, processes: int) -> None:
        """Take Redis for gone, say so once, and look for it until it is back."""
        with self._lock:
            if not self.up or self._closed.is_set():
                return
            self.up = False
        share = f" to 1/{processes} of" if processes > 1 else ""
        logger.warning(
            "Redis at %s is away (%s): this process keeps%s the limits by itself",
            self._where,
            type(error).__name__,
            share,
        )
        threading.Thread(target=self._look, name="cepo-cerebras-redis", daemon=True).start()

    def close(self) -> None:
        """Close the connections, and look for Redis no more."""
        self._closed.set()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self.client.close()

    def _look(self) -> None:
        while not self._closed.wait(AGAIN):
            try:  # what a change does: a Redis may answer a ping, and refuse to write
                self.client.time()
                self.client.set(f"{PREFIX}there", 1, ex=KEPT)
            except (RedisError, OSError):
                continue
            with self._lock:
                self.up = True
            logger.info("Redis at %s is back: the limits are shared again", self._where)
            return


class SharedBooks:
    """The limits of one API, key and model, which all processes with this Redis share.

    Args:
        shared: the Redis.
        name: what they are the limits of. Only its hash goes to Redis, for the API's key is in it.
        known: what is known from the start.

    """

    poll = POLL

    def __init__(self, shared: Shared, name: tuple[str, ...], known: Known) -> None:
        self._shared = shared
        self._known = known
        self._key = PREFIX + hashlib.sha256("\0".join(name).encode()).hexdigest()
        self._ahead = time.time() - time.monotonic()  # of this process's clock; Redis' own as soon as it was heard
        self._last: Limits | None = None
        self._processes = 1
        self._beaten = float("-inf")
        self._alone: LocalBooks | None = None  # from when Redis went away until the limits are in it again

    def change(self, what: Callable[[Limits, float], tuple[Limits, T]], deadline: Deadline | None = None) -> T:
        """Replace the limits by what this makes of them; it may be called several times, of which the last counts.

        Raises what ended the deadline before Redis answered.
        """
        changed = self._shared.submit(lambda: self._change(what))
        try:
            return (deadline or unlimited()).wait_for(changed)
        except CepoError:
            if not changed.cancel():
                changed.add_done_callback(self._give_back)
            raise

    def note(self, what: Callable[[Limits, float], Limits], done: Callable[[float], object] = lambda _: None) -> None:
        """Replace the limits by what this makes of them, after all that was asked before."""
        with suppress(RuntimeError):  # closed: nobody asks for these limits any more
            self._shared.submit(lambda: done(self._change(lambda known, now: (what(known, now), now))))

    def _give_back(self, changed: Future[Any]) -> None:
        """A call was let through for which nobody waited any more."""
        if not changed.cancelled() and not changed.exception() and isinstance(changed.result(), Ticket):
            self.note(lambda known, _: failed(known))

    def _change(self, what: Callable[[Limits, float], tuple[Limits, T]]) -> T:
        if self._shared.up:
            try:
                result = self._together(what)
            except (RedisError, OSError) as error:
                self._shared.lost(error, self._processes)
            else:
                self._beat()
                return result
        return self._apart().change(what)

    def _together(self, what: Callable[[Limits, float], tuple[Limits, T]]) -> T:
        def settle(redis: Any) -> tuple[Limits, T, float, bool]:
            seconds, millionths = redis.time()
            now = seconds + millionths / 1e6
            kept = self._kept(redis.get(self._key), now)
            limits, result = what(kept, now)
            # Where a call waits nothing was charged, and levels follow from the time. What was learnt alone is kept all
            # the same: as long as it is not, the little that this process saw a bucket hold is all that it may hold.
            if self._alone is None and (isinstance(result, Wait) or limits is kept):
                redis.unwatch()
                return limits, result, now, False
            redis.multi()
            redis.set(self._key, _text(limits), ex=KEPT if limits.trial is None else UNLEARNT)
            return limits, result, now, True

        transaction: Any = self._shared.client.transaction  # its type knows of no result
        done = transaction(settle, self._key, value_from_callable=True)
        self._last, result, now, written = cast(tuple[Limits, T, float, bool], done)
        self._ahead = now - time.monotonic()
        if written:
            self._alone = None
        return result

    def _kept(self, text: bytes | None, now: float) -> Limits:
        """The limits that Redis has, with what this process learnt while Redis was away."""
        known = self._known(now)
        alone = None if self._alone is None else whole(self._alone.change(lambda limits, _: (limits, limits)))
        try:
            limits = None if text is None else _LIMITS.validate_json(text)
        except ValidationError:  # of another version of this program
            limits = None
        if limits is None:
            learnt = self._last if self._last is not None and self._last.trial is None else None
            return under(alone or learnt or known, known)
        return under(limits if alone is None else joined(limits, alone, now), known)

    def _apart(self) -> LocalBooks:
        """What this process keeps while it is by itself: its share of what was known last."""
        if self._alone is None:
            last, ahead = self._last, self._ahead
            self._alone = LocalBooks(
                lambda now: part(last or self._known(now), self._processes), lambda: time.monotonic() + ahead
            )
        return self._alone

    def _beat(self) -> None:
        """Give a sign of life, and count the processes that gave one lately."""
        now = time.monotonic() + self._ahead
        if now - self._beaten < BEAT:
            return
        processes = f"{self._key}:processes"
        with self._shared.client.pipeline(transaction=False) as redis:
            redis.zadd(processes, {self._shared.process: now})
            redis.zremrangebyscore(processes, "-inf", now - SILENT)
            redis.zcard(processes)
            redis.expire(processes, KEPT)
            try:
                self._processes = max(1, int(redis.execute()[2]))
            except (RedisError, OSError) as error:
                self._shared.lost(error, self._processes)
        self._beaten = now


def _text(limits: Limits) -> str:
    return json.dumps(_LIMITS.dump_python(limits))  # pydantic's own JSON makes null of infinity
