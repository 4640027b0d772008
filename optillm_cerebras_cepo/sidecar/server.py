"""The HTTP server: waitress, with limits on connections, bodies and time."""

from __future__ import annotations

import errno
import logging
import time
from dataclasses import dataclass
from typing import Any

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.wasyncore import dispatcher

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.host.bootstrap import Wsgi
from optillm_cerebras_cepo.sidecar.connection import Connection, ConnectionTimeouts
from optillm_cerebras_cepo.sidecar.parser import BodyMemory, WantsBody

OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
ACCEPT_PAUSE = 1.0  # s without accepting connections after one of these
EXTRA_THREADS = 8  # beyond the slots of chat requests: for refusals and probes

logger = logging.getLogger("optillm_cerebras_cepo")


@dataclass(frozen=True)
class ServerLimits:
    """Limits of the HTTP server. The overload time-outs hold while the number of connections is at its limit."""

    connections: int = 1000  # open at once; more wait in the kernel's queue
    headers: int = 32 * 2**10  # bytes per request
    body: int = 16 * 2**20  # bytes per request
    all_bodies: int = 64 * 2**20  # bytes in memory, of incomplete bodies as well
    timeouts: ConnectionTimeouts = ConnectionTimeouts()  # noqa: RUF009 - frozen, so one default instance can be shared
    overload_timeouts: ConnectionTimeouts = ConnectionTimeouts(idle=2.0, reading=5.0)  # noqa: RUF009


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
