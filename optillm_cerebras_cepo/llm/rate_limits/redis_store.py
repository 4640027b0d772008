"""Limits that several processes share in Redis: all charge the same buckets, and each learns for all.

The limits change by compare and set, so the rules stay pure functions (`windows.py`). The time is that of Redis, so all
processes have one clock. While Redis is unavailable no call waits for it: each process continues with its share of the
limits that it last read, and a thread tries to reconnect.
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

from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import BadConfiguration, CepoError
from optillm_cerebras_cepo.llm.rate_limits.limiter import InitialLimits, LocalLimitStore
from optillm_cerebras_cepo.llm.rate_limits.limits import (
    Limits,
    Permit,
    Wait,
    divide,
    merge,
    undivide,
    with_operator_limits,
)
from optillm_cerebras_cepo.llm.rate_limits.windows import record_failure

PREFIX = "cepo_cerebras:limits:"  # to be changed with the fields of Limits, which are stored under their names
POLL_SECONDS = 0.1  # after which other processes may have changed the limits
RESPONSE_TIMEOUT = 0.5  # seconds for one reply of Redis
RECONNECT_INTERVAL = 1.0  # seconds
HEARTBEAT_INTERVAL, PROCESS_TTL = 2.0, 15.0  # seconds; a process without a heartbeat for PROCESS_TTL is not counted
LIMITS_TTL = 86_400  # seconds: after a day every window is full again
INITIAL_LIMITS_TTL = 60  # seconds for which the first calls of a process that died can block the others
BAD_URL = "CEPO_CEREBRAS_REDIS_URL must be the address of a Redis, such as redis://host:6379"

logger = logging.getLogger("optillm_cerebras_cepo")
T = TypeVar("T")
_LIMITS = TypeAdapter(Limits)


class RedisConnection:
    """Connection of this process to one Redis.

    Args:
        url: its address, with the password if there is one. The connection is opened by the first call.

    Raises:
        BadConfiguration: the URL is not that of a Redis.

    """

    def __init__(self, url: str) -> None:
        try:
            self.client = Redis.from_url(
                url,
                socket_timeout=RESPONSE_TIMEOUT,
                socket_connect_timeout=RESPONSE_TIMEOUT,
                retry=Retry(NoBackoff(), 0),
            )
            pool = self.client.connection_pool
            address = pool.connection_class(**pool.connection_kwargs)  # raises for an unknown option in the URL
        except (ValueError, TypeError, RedisError):
            raise BadConfiguration(BAD_URL) from None  # the error may quote a part of the password
        self.process_id = uuid.uuid4().hex
        self.available = True
        self._address = getattr(address, "path", "") or f"{getattr(address, 'host', '')}:{getattr(address, 'port', '')}"
        self._lock = threading.Lock()
        self._closed = threading.Event()
        # One thread calls Redis, in order of submission. Callers wait until their own deadline, so a slow Redis delays
        # no request beyond it.
        self.thread = ThreadPoolExecutor(1, "cepo-cerebras-redis")

    def open_store(self, name: tuple[str, ...], initial: InitialLimits) -> RedisLimitStore:
        """Return the store of this name; `initial` are the limits if Redis has none."""
        return RedisLimitStore(self, name, initial)

    def mark_unavailable(self, error: Exception, processes: int) -> None:
        """Log once that Redis is unavailable, and try to reconnect on a thread."""
        with self._lock:
            if not self.available or self._closed.is_set():
                return
            self.available = False
        share = f"1/{processes} of the limits" if processes > 1 else "the limits by itself"
        logger.warning(
            "Redis at %s is unavailable (%s): this process uses %s", self._address, type(error).__name__, share
        )
        threading.Thread(target=self._reconnect, name="cepo-cerebras-redis", daemon=True).start()

    def close(self) -> None:
        """Close the connections, and stop reconnecting."""
        self._closed.set()
        self.thread.shutdown(wait=False, cancel_futures=True)
        self.client.close()

    def _reconnect(self) -> None:
        while not self._closed.wait(RECONNECT_INTERVAL):
            try:  # a Redis can answer a ping and refuse to write
                self.client.time()
                self.client.set(f"{PREFIX}there", 1, ex=LIMITS_TTL)
            except (RedisError, OSError):
                continue
            with self._lock:
                self.available = True
            logger.info("Redis at %s is available again: the limits are shared", self._address)
            return


class RedisLimitStore:
    """Limits of one API, key and model that all processes with this Redis share.

    Args:
        connection: the Redis.
        name: API, key and model. Only a hash of it goes to Redis, because it contains the key.
        initial: limits that are known from the start.

    """

    poll_seconds = POLL_SECONDS

    def __init__(self, connection: RedisConnection, name: tuple[str, ...], initial: InitialLimits) -> None:
        self._connection = connection
        self._initial = initial
        self._key = PREFIX + hashlib.sha256("\0".join(name).encode()).hexdigest()
        self._clock_offset = time.time() - time.monotonic()  # of Redis, as soon as it has replied
        self._last_read: Limits | None = None
        self._processes = 1
        self._last_heartbeat = float("-inf")
        self._local: LocalLimitStore | None = None  # while Redis is unavailable, and until the limits are in it again

    def update(self, change: Callable[[Limits, float], tuple[Limits, T]], deadline: Deadline | None = None) -> T:
        """Replace the limits and return the change's result.

        `change` may be called several times; its last result counts. Raises what ended the deadline.
        """
        result = self._connection.thread.submit(lambda: self._update(change))
        try:
            return (deadline or Deadline()).wait_for(result)
        except CepoError:
            if not result.cancel():
                result.add_done_callback(self._return_permit)
            raise

    def update_later(
        self, change: Callable[[Limits, float], Limits], done: Callable[[float], object] = lambda _: None
    ) -> None:
        """Replace the limits after all changes that were submitted before."""
        with suppress(RuntimeError):  # closed: nobody needs these limits any more
            self._connection.thread.submit(lambda: done(self._update(lambda limits, now: (change(limits, now), now))))

    def _return_permit(self, result: Future[Any]) -> None:
        """Return a permit that came after its waiter had given up."""
        if not result.cancelled() and not result.exception() and isinstance(result.result(), Permit):
            self.update_later(lambda limits, _: record_failure(limits))

    def _update(self, change: Callable[[Limits, float], tuple[Limits, T]]) -> T:
        if self._connection.available:
            try:
                result = self._update_shared(change)
            except (RedisError, OSError) as error:
                self._connection.mark_unavailable(error, self._processes)
            else:
                self._send_heartbeat()
                return result
        if self._local is None:
            last, offset = self._last_read, self._clock_offset
            self._local = LocalLimitStore(
                lambda now: divide(last or self._initial(now), self._processes), lambda: time.monotonic() + offset
            )
        return self._local.update(change)

    def _update_shared(self, change: Callable[[Limits, float], tuple[Limits, T]]) -> T:
        def transact(redis: Any) -> tuple[Limits, T, float]:
            seconds, microseconds = redis.time()
            now = seconds + microseconds / 1e6
            before = self._read(redis.get(self._key), now)
            limits, result = change(before, now)
            # A wait charges nothing, and levels follow from the time, so there is nothing to write. Local limits are
            # written in any case: until then, the low levels that this process observed alone would stay in force.
            if self._local is None and (isinstance(result, Wait) or limits is before):
                redis.unwatch()
            else:
                redis.multi()
                # pydantic's own JSON writes infinity as null
                text = json.dumps(_LIMITS.dump_python(limits))
                redis.set(self._key, text, ex=LIMITS_TTL if limits.initial_window is None else INITIAL_LIMITS_TTL)
            return limits, result, now

        transaction: Any = self._connection.client.transaction  # its type does not declare the result
        done = transaction(transact, self._key, value_from_callable=True)
        self._last_read, result, now = cast(tuple[Limits, T, float], done)
        self._clock_offset = now - time.monotonic()
        self._local = None
        return result

    def _read(self, text: bytes | None, now: float) -> Limits:
        """Return the limits in Redis, with what this process learned while Redis was unavailable."""
        initial = self._initial(now)
        local = None if self._local is None else undivide(self._local.update(lambda limits, _: (limits, limits)))
        try:
            stored = None if text is None else _LIMITS.validate_json(text)
        except ValidationError:  # written by another version of this program
            stored = None
        if stored is None:
            learned = self._last_read if self._last_read and self._last_read.initial_window is None else None
            return with_operator_limits(local or learned or initial, initial)
        return with_operator_limits(stored if local is None else merge(stored, local, now), initial)

    def _send_heartbeat(self) -> None:
        """Announce this process, and count the processes with a recent heartbeat."""
        now = time.monotonic() + self._clock_offset
        if now - self._last_heartbeat < HEARTBEAT_INTERVAL:
            return
        processes = f"{self._key}:processes"
        with self._connection.client.pipeline(transaction=False) as redis:
            redis.zadd(processes, {self._connection.process_id: now})
            redis.zremrangebyscore(processes, "-inf", now - PROCESS_TTL)
            redis.zcard(processes)
            redis.expire(processes, LIMITS_TTL)
            try:
                self._processes = max(1, int(redis.execute()[2]))
            except (RedisError, OSError) as error:
                self._connection.mark_unavailable(error, self._processes)
        self._last_heartbeat = now
