"""Where limits are kept: in the process, or in a Redis that several processes share."""

from __future__ import annotations

import threading
from collections.abc import Callable

from optillm_cerebras_cepo.errors import BadConfiguration
from optillm_cerebras_cepo.llm.pace import Gate, Gates, LocalBooks

MISSING = "CEPO_CEREBRAS_REDIS_URL needs Redis' client: pip install 'optillm-cerebras-cepo[redis]'"


class Kept:
    """All gates, by where their limits are kept.

    Args:
        minute: seconds of a minute, fewer in compressed time.

    """

    kind: type[Gate] = Gate

    def __init__(self, minute: float = 60.0) -> None:
        self._lock = threading.Lock()
        self._minute = minute
        self._gates: dict[str | None, Gates] = {}
        self._closing: list[Callable[[], None]] = []

    def at(self, redis_url: str | None) -> Gates:
        """The gates whose limits are kept there; without a URL in the process, and nothing of Redis is imported.

        Raises:
            BadConfiguration: the URL is none of a Redis, or Redis' client is not installed.

        """
        with self._lock:
            if redis_url not in self._gates:
                self._gates[redis_url] = self._open(redis_url)
                self._gates[redis_url].kind = self.kind
            return self._gates[redis_url]

    def clear(self) -> None:
        """Forget all that was learnt, and close what is open."""
        with self._lock:
            closing = self._closing
            self._gates, self._closing = {}, []
        for close in closing:
            close()

    def _open(self, redis_url: str | None) -> Gates:
        if redis_url is None:
            return Gates(lambda _, known: LocalBooks(known), self._minute)
        try:
            from optillm_cerebras_cepo.llm.shared import Shared
        except ModuleNotFoundError:
            raise BadConfiguration(MISSING) from None
        shared = Shared(redis_url)
        self._closing.append(shared.close)
        return Gates(shared.books, self._minute)
