"""One client connection: its time-outs, and its answers to requests that could not be read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import WSGITask

from optillm_cerebras_cepo.sidecar.app import READ_ERROR
from optillm_cerebras_cepo.sidecar.client_keys import PROBE_PATHS
from optillm_cerebras_cepo.sidecar.parser import RequestParser


@dataclass(frozen=True)
class ConnectionTimeouts:
    """Seconds after which a connection is closed."""

    idle: float = 75.0  # without a request, or with a client that does not read its response; proxies use 60
    reading: float = 60.0  # from the first to the last byte of a request


class _ResponseTask(WSGITask):  # type: ignore[misc]
    """Sends the head of a response together with the first part of the body: each packet wakes the client."""

    def execute(self) -> None:
        """Run the application. Turn a SystemExit into an Exception: only then does waitress close the connection."""
        try:
            super().execute()
        except BaseException as error:
            if isinstance(error, Exception):
                raise
            raise RuntimeError(f"the application was interrupted by {type(error).__name__}") from None

    def write(self, data: bytes) -> None:
        with self.channel.send_together():
            super().write(data)


class _ReadErrorTask(_ResponseTask):
    """Lets the application answer a request that could not be read, and closes the connection after it."""

    def execute(self) -> None:
        self.set_close_on_finish()
        super().execute()

    def get_environment(self) -> dict[str, Any]:
        return {
            **self.request.environ(),
            "REMOTE_ADDR": self.channel.addr[0],
            "wsgi.input": BytesIO(),
            READ_ERROR: self.request.error.code,
        }


class Connection(HTTPChannel):  # type: ignore[misc]
    """A connection with time-outs for reading a request and for sending a response."""

    task_class = _ResponseTask
    error_task_class = _ReadErrorTask
    reading_since: float | None = None  # time() when the current request began to arrive
    unsent_since: float | None = None  # time() since which the client has read nothing of its response
    _current_request: RequestParser | None = None
    _parts: list[bytes] | None = None

    def __init__(self, server: Any, *args: Any, **kwargs: Any) -> None:
        self.parser_class = partial(RequestParser, wants_body=server.wants_body, body_memory=server.body_memory)
        super().__init__(server, *args, **kwargs)

    @property
    def is_busy(self) -> bool:
        """Whether a response is not complete or not sent."""
        return bool(self.requests or self.total_outbufs_len)

    @property
    def is_next_probe(self) -> bool:
        """Whether the next request to answer is a health probe."""
        return any(getattr(request, "path", "") in PROBE_PATHS for request in self.requests[:1])

    @contextmanager
    def send_together(self) -> Iterator[None]:
        """Collect what is written in this block and send it in one piece."""
        parts: list[bytes] = []
        self._parts = parts
        try:
            yield
        finally:
            self._parts = None
        self.write_soon(b"".join(parts))

    def write_soon(self, data: bytes) -> int:
        """Queue data to send; return its length in bytes."""
        if self._parts is None:
            return int(super().write_soon(data))
        self._parts.append(data)
        return len(data)

    def received(self, data: bytes) -> bool:
        """Parse data, and note when a new request begins."""
        done = super().received(data)
        if self.request is not self._current_request:
            self._current_request = self.request
            self.reading_since = None if self.request is None else time.time()
        return bool(done)

    def has_timed_out(self, now: float, timeouts: ConnectionTimeouts) -> bool:
        """Return whether to close this connection; call it regularly. The application itself may take any time."""
        if not self.total_outbufs_len:
            self.unsent_since = None
        elif self.unsent_since is None or self.unsent_since < self.last_activity:
            self.unsent_since = now
        return (
            (self.reading_since is not None and self.reading_since < now - timeouts.reading)
            or (self.unsent_since is not None and self.unsent_since < now - timeouts.idle)
            or (not self.is_busy and self.last_activity < now - timeouts.idle)
        )
