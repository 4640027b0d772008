"""The HTTP server: waitress, with limits on connections, bodies and time, and with answers to unreadable requests."""

from __future__ import annotations

import errno
import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import WSGITask
from waitress.wasyncore import dispatcher

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.host.bootstrap import Wsgi
from optillm_cerebras_cepo.sidecar.admission import PROBE_PATHS
from optillm_cerebras_cepo.sidecar.app import READ_ERROR
from optillm_cerebras_cepo.sidecar.parser import BodyMemory, RequestParser, WantsBody

OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
ACCEPT_PAUSE = 1.0  # s without accepting connections after one of these
EXTRA_THREADS = 8  # beyond the slots of chat requests: for refusals and probes
logger = logging.getLogger("optillm_cerebras_cepo")


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
            or (not self.is_busy and self.last_activity < now - timeouts.idle and not self._has_unread_data())
        )

    def _has_unread_data(self) -> bool:
        """Return whether the client has sent what a busy server has not read yet: then it was not idle."""
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except OSError:  # nothing, or the connection is broken
            return False


@dataclass(frozen=True)
class ServerLimits:
    """Limits of the HTTP server. The overload time-outs hold while the number of connections is at its limit."""

    connections: int = 1000  # open at once; more wait in the kernel's queue
    headers: int = 32 * 2**10  # bytes per request
    body: int = 16 * 2**20  # bytes per request
    all_bodies: int = 64 * 2**20  # bytes in memory, of incomplete bodies as well
    timeouts: ConnectionTimeouts = ConnectionTimeouts()
    overload_timeouts: ConnectionTimeouts = ConnectionTimeouts(idle=2.0, reading=5.0)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """A server that listens as soon as it is created. Raises BadConfiguration if it cannot.

    `threads` requests are answered at once. `wants_body` returns whether a large body will be used, from the WSGI
    environ of its headers; if not, the request is answered without it.
    """

    channel_class = Connection

    def __init__(
        self,
        application: Wsgi,
        host: str,
        port: int,
        *,
        threads: int,
        limits: ServerLimits = ServerLimits(),
        wants_body: WantsBody = lambda _: True,
    ) -> None:
        self.wants_body = wants_body
        self.body_memory = BodyMemory(limits.all_bodies)
        self._limits = limits
        self._accept_at = 0.0
        adjustments = {
            "host": host,
            "port": port,
            "threads": threads,
            "ident": None,  # no Server header
            "connection_limit": limits.connections,
            "max_request_header_size": limits.headers,
            "max_request_body_size": limits.body + 1,  # the smallest size that is refused
            "inbuf_overflow": limits.body + 1,  # never write a request to disk,
            "outbuf_overflow": 2**30,  # nor a response,
            "outbuf_high_watermark": 2**20,  # of which at most this much waits for a slow client
            "cleanup_interval": 1,
            "channel_request_lookahead": 1,  # read during an answer, to notice that the client hangs up
            "asyncore_use_poll": True,  # select() fails for file descriptors above 1023
            "clear_untrusted_proxy_headers": True,
        }
        try:
            super().__init__(application, {}, adj=Adjustments(**adjustments))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "invalid address"
            raise BadConfiguration(f"Cannot listen at {host}:{port}: {reason}.") from None

    def maintenance(self, now: float) -> None:
        """Close the connections that have timed out, at once: waitress would wait until the client reads."""
        timeouts = self._limits.overload_timeouts if self.in_connection_overflow else self._limits.timeouts
        for connection in [*self.active_channels.values()]:
            if connection.has_timed_out(now, timeouts):
                connection.handle_close()

    def readable(self) -> bool:
        """Whether a connection would be accepted now."""
        return bool(super().readable()) and time.monotonic() >= self._accept_at

    def accept(self) -> Any:
        """Accept a connection, or return None. If the system is out of resources, pause instead of a busy loop."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in OUT_OF_RESOURCES:
                raise
            self._accept_at = time.monotonic() + ACCEPT_PAUSE
            logger.warning("Cannot accept connections: %s; raise the limit (ulimit -n).", error.strerror)
            return None

    def add_task(self, task: Connection) -> None:
        """Queue a request; a probe goes first, so that the container is not restarted because of a long queue."""
        super().add_task(task)
        with self.task_dispatcher.lock:
            queue = self.task_dispatcher.queue
            if len(queue) > 1 and queue[-1] is task and task.is_next_probe and not queue[0].is_next_probe:
                queue.rotate(1)

    def stop_listening(self) -> None:
        """Accept no more connections; open ones stay open. Thread-safe."""
        self.trigger.pull_trigger(lambda: dispatcher.close(self))

    def finish(self, seconds: float) -> None:
        """Wait until all responses are sent, for so many seconds at most; then end the idle threads."""
        end = time.time() + seconds
        while time.time() < end and any(connection.is_busy for connection in [*self.active_channels.values()]):
            time.sleep(0.01)
        self.task_dispatcher.shutdown(timeout=1)
