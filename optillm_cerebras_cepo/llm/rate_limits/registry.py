"""The rate limiters of this process: one for each Redis, API, key and model."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.llm.rate_limits.limiter import LocalLimitStore, RateLimiter
from optillm_cerebras_cepo.llm.rate_limits.limits import Limits, initial_limits

MISSING = "CEPO_CEREBRAS_REDIS_URL needs the Redis client; install it: pip install 'redis>=5,<9'"


class LimiterRegistry:
    """All rate limiters of this process, by Redis, API, key and model; each is made on first use.

    `minute` is the length of a minute in seconds, fewer in compressed time.
    """

    def __init__(self, minute: float = 60.0) -> None:
        self._lock = threading.RLock()
        self._minute = minute
        self._limiters: dict[tuple[str | None, ...], RateLimiter] = {}
        self._redis: dict[str | None, Any] = {}  # connections by URL

    def connect(self, redis_url: str | None) -> None:
        """Prepare the limit store: Redis, or without a URL this process, which imports nothing of Redis.

        Raises:
            BadConfiguration: the URL is not that of a Redis, or the Redis client is not installed.

        """
        with self._lock:
            if redis_url is None or redis_url in self._redis:
                return
            try:
                from optillm_cerebras_cepo.llm.rate_limits.redis_store import RedisConnection
            except ModuleNotFoundError:
                raise BadConfiguration(MISSING) from None
            self._redis[redis_url] = RedisConnection(redis_url)

    def limiter(
        self,
        redis_url: str | None,
        api: tuple[str, str],
        model: str,
        concurrency: int,
        operator_limits: Mapping[str, float],
    ) -> RateLimiter:
        """Return the rate limiter of a model at an API, given by address and key. Raises what `connect` raises.

        `concurrency` and `operator_limits`, by window, count on first use only.
        """

        def initial(now: float) -> Limits:
            return initial_limits(operator_limits, now, self._minute)

        key = (redis_url, *api, model)
        with self._lock:
            if key not in self._limiters:
                self.connect(redis_url)
                redis = self._redis.get(redis_url)
                store = redis.open_store((*api, model), initial) if redis else LocalLimitStore(initial)
                self._limiters[key] = RateLimiter(store, concurrency)
            return self._limiters[key]

    def clear(self) -> None:
        """Forget all limits, and close the connections to Redis."""
        with self._lock:
            connections = list(self._redis.values())
            self._limiters, self._redis = {}, {}
        for connection in connections:
            connection.close()
