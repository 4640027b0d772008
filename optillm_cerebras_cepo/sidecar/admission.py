"""Who is served: the check of the clients' keys, and the number of chat requests at once."""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Iterable

from optillm_cerebras_cepo.host.responses import WrongClientKey
from optillm_cerebras_cepo.sidecar.errors import server_full, shutting_down

PROBE_PATHS = frozenset({"/health", "/ready"})  # served without a key

POLL_SECONDS = 0.5  # a thread that waits longer does not react to signals


class ClientKeys:
    """The clients' keys; false if there are none."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = [key.encode() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def check(self, path: str, authorization: str) -> None:
        """Raise WrongClientKey unless the header has one of the keys, or the path needs none. Takes constant time."""
        if not self._keys or path in PROBE_PATHS:
            return
        scheme, _, token = authorization.partition(" ")
        key = token.strip().encode("utf-8", "replace") if scheme.lower() == "bearer" else b""
        if not sum(hmac.compare_digest(key, known) for known in self._keys):  # sum() compares all, any() would not
            raise WrongClientKey("Wrong or missing client key. Send one as `Authorization: Bearer KEY`.")


class RequestSlots:
    """Semaphore that never blocks, can be closed, and can be waited for until all slots are free.

    `in_use` is the number of acquired slots.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.in_use = 0
        self.closed = False
        self._released = threading.Condition()

    def acquire(self) -> None:
        """Acquire a slot. Raise ServerFull if none is free, ShuttingDown after `close`."""
        with self._released:
            if self.closed:
                raise shutting_down()
            if self.in_use >= self._limit:
                raise server_full()
            self.in_use += 1

    def release(self) -> None:
        """Release a slot."""
        with self._released:
            self.in_use -= 1
            self._released.notify_all()

    def close(self) -> None:
        """Let `acquire` fail from now on. Acquired slots stay acquired."""
        with self._released:
            self.closed = True

    def wait_until_free(self, seconds: float) -> bool:
        """Wait until all slots are free, for so many seconds at most. Return whether they are."""
        end = time.monotonic() + seconds
        with self._released:
            while self.in_use and (left := end - time.monotonic()) > 0:
                self._released.wait(min(left, POLL_SECONDS))
            return not self.in_use
