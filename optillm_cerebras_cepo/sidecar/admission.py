"""Who is served: the clients' keys, the number of chat requests at once, and the errors of refused requests."""

from __future__ import annotations

import hmac
import re
import threading
import time
from collections.abc import Iterable, Sequence

from optillm_cerebras_cepo.core.errors import BadRequest, CepoError, ErrorScope
from optillm_cerebras_cepo.host.responses import WrongClientKey

PROBE_PATHS = frozenset({"/health", "/ready"})  # served without a key

POLL_SECONDS = 0.5  # a thread that waits longer does not react to signals


class HeadersTooLarge(BadRequest, status=431, code="headers_too_large"):
    """The request's headers exceed the server's limit."""


class UnknownPath(BadRequest, status=404, code="unknown_path"):
    """The server does not serve this path."""


class WrongMethod(BadRequest, status=405, code="wrong_method"):
    """The path does not support this method; `allowed` is the value of the Allow header."""

    def __init__(self, message: str, *, allowed: str = "") -> None:
        super().__init__(message)
        self.allowed = allowed


class OriginRefused(BadRequest, status=403, type="permission_error", code="origin_refused"):
    """A browser request to a server without client keys: any web page could send it in its visitor's name."""


class ServerFull(CepoError, status=503, type="server_error", code="server_full", retryable=True):
    """All slots or all memory for bodies are in use. No API call was made for this request."""


class ShuttingDown(
    CepoError, status=503, type="server_error", code="shutting_down", scope=ErrorScope.REQUEST, discards_answers=True
):
    """The server is shutting down; another one, or this one after a restart, may answer."""

    @property
    def client_may_retry(self) -> bool:
        """Always true: a retry reaches another process."""
        return True


def server_full() -> ServerFull:
    """Return the error for a request that finds no free slot or memory; about 5 s later there may be one."""
    return ServerFull("The server is at capacity. Retry later.", retry_after=5.0)


def shutting_down() -> ShuttingDown:
    """Return the error for a request that a stopping server does not finish."""
    return ShuttingDown("The server is shutting down. Retry.", retry_after=1.0)


def wrong_method(method: str, path: str, allowed: Sequence[str]) -> WrongMethod:
    """Return the error for a method that a path does not support; an unusual method is not quoted."""
    name = f"Method {method}" if re.fullmatch("[A-Z]{1,20}", method) else "This method"
    message = f"{name} is not allowed for {path}; use {' or '.join(allowed)}."
    return WrongMethod(message, allowed=", ".join(allowed))


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
