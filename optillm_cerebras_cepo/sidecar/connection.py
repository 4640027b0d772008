"""One connection: how long it may take, and what is said of a request on it that cannot be read."""

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

from optillm_cerebras_cepo.sidecar.entrance import UNREAD
from optillm_cerebras_cepo.sidecar.keys import OPEN
from optillm_cerebras_cepo.sidecar.parser import Parser


@dataclass(frozen=True)
class Patience:
    """Seconds after which a connection is closed.

    Attributes:
        idle: on which nothing happens, or whose client does not take what it is sent; proxies keep theirs for 60.
        reading: on which a request has been arriving for so long.

    """

    idle: float = 75.0
    reading: float = 60.0


class _Answer(WSGITask):  # type: ignore[misc]
    """An answer whose head leaves together with the first of its body: each sending wakes the client."""

    def execute(self) -> None:
        """Answer. A SystemExit of the application's becomes an error like any other.

        waitress closes a connection for those only: with any other one it would stay open for ever.
        """
        try:
            super().execute()
        except BaseException as error:
            if isinstance(error, Exception):
                raise
            raise RuntimeError(f"the application was interrupted by {type(error).__name__}") from None

    def write(self, data: bytes) -> None:
        with self.channel.at_once():
            super().write(data)


class _Unread(_Answer):
    """A request that is no HTTP, or too large: answered by the application, as all others, and the last one."""

    def execute(self) -> None:
        self.set_close_on_finish()
        super().execute()

    def get_environment(self) -> dict[str, Any]:
        return {
            **self.request.environ(),
            "REMOTE_ADDR": self.channel.addr[0],
            "wsgi.input": BytesIO(),
            UNREAD: self.request.error.code,
        }


class Connection(HTTPChannel):  # type: ignore[misc]
    """A connection that knows since when a request has been arriving on it, and since when nothing is taken."""

    task_class = _Answer
    error_task_class = _Unread
    arriving_since: float | None = None
    waiting_since: float | None = None
    _arriving: Parser | None = None
    _gathered: list[bytes] | None = None

    def __init__(self, server: Any, *given: Any, **named: Any) -> None:
        self.parser_class = partial(Parser, wants_body=server.wants_body, room=server.room)
        super().__init__(server, *given, **named)

    @property
    def busy(self) -> bool:
        """Whether a request on it is not answered to the last byte."""
        return bool(self.requests or self.total_outbufs_len)

    @property
    def probes(self) -> bool:
        """Whether the request that is next on it is a probe's."""
        return any(getattr(request, "path", "") in OPEN for request in self.requests[:1])

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Send what is written within this block when it ends, in one piece."""
        gathered: list[bytes] = []
        self._gathered = gathered
        try:
            yield
        finally:
            self._gathered = None
        self.write_soon(b"".join(gathered))

    def write_soon(self, data: bytes) -> int:
        """Send on; returns how many bytes that are."""
        if self._gathered is None:
            return int(super().write_soon(data))
        self._gathered.append(data)
        return len(data)

    def received(self, data: bytes) -> bool:
        """Read on."""
        done = super().received(data)
        if self.request is not self._arriving:
            self._arriving = self.request
            self.arriving_since = None if self.request is None else time.time()
        return bool(done)

    def overdue(self, now: float, patience: Patience) -> bool:
        """Whether it has taken too long; to be asked now and then. An answer that is being made may take its time."""
        if not self.total_outbufs_len:
            self.waiting_since = None
        elif self.waiting_since is None or self.waiting_since < self.last_activity:
            self.waiting_since = now
        return (
            (self.arriving_since is not None and self.arriving_since < now - patience.reading)
            or (self.waiting_since is not None and self.waiting_since < now - patience.idle)
            or (not self.busy and self.last_activity < now - patience.idle)
        )
