"""The rate limiters of this process: one for each Redis, API, key and model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.llm.rate_limits.limiter import InitialLimits, LimitStore, LocalLimitStore, RateLimiter
from optillm_cerebras_cepo.llm.rate_limits.limits import initial_limits

OpenStore = Callable[[tuple[str, ...], InitialLimits], LimitStore]  # by API, key and model
MISSING = "CEPO_CEREBRAS_REDIS_URL needs the Redis client; install it: pip install 'redis>=5,<9'"


class LimiterRegistry:
    """All rate limiters; each is made on first use.

    Args:
        minute: seconds of a minute, fewer in compressed time.

    """

    def __init__(self, minute: float = 60.0) -> None:
        self._lock = threading.Lock()
        self._minute = minute
        self._limiters: dict[tuple[str | None, ...], RateLimiter] = {}
        self._redis: dict[str, tuple[OpenStore, Callable[[], None]]] = {}  # by URL: the store, and how to close it

    def connect(self, redis_url: str | None) -> None:
        """Prepare the limit store: Redis, or without a URL this process, which imports nothing of Redis.

        Raises:
            BadConfiguration: the URL is not that of a Redis, or the Redis client is not installed.

        """
        with self._lock:
            self._store(redis_url)

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
        name = (*api, model)
        key = (redis_url, *name)
        with self._lock:
            limiter = self._limiters.get(key)
            if limiter is None:
                store = self._store(redis_url)(name, lambda now: initial_limits(operator_limits, now, self._minute))
                limiter = self._limiters[key] = RateLimiter(store, concurrency)
            return limiter

    def clear(self) -> None:
        """Forget all limits, and close the connections to Redis."""
        with self._lock:
            connections = list(self._redis.values())
            self._limiters, self._redis = {}, {}
        for _, close in connections:
            close()

    def _store(self, redis_url: str | None) -> OpenStore:
        if redis_url is None:
            return lambda _, initial: LocalLimitStore(initial)
        if redis_url not in self._redis:
            try:
                from optillm_cerebras_cepo.llm.rate_limits.redis_store import RedisConnection
            except ModuleNotFoundError:
                raise BadConfiguration(MISSING) from None
            connection = RedisConnection(redis_url)
            self._redis[redis_url] = connection.open_store, connection.close
        return self._redis[redis_url][0]
