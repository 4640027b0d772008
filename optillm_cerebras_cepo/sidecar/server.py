"""The HTTP server: waitress, which reads without a thread, answers from a pool, and knows who has hung up."""

from __future__ import annotations

import errno
import logging
import time
from dataclasses import dataclass
from typing import Any

from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.wasyncore import dispatcher

from optillm_cerebras_cepo.errors import BadConfiguration
from optillm_cerebras_cepo.host.launch import Wsgi
from optillm_cerebras_cepo.sidecar.connection import Connection, Patience
from optillm_cerebras_cepo.sidecar.parser import Room, WantsBody

SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE = 1.0  # seconds until a connection is taken again after one of these
logger = logging.getLogger("optillm_cerebras_cepo")
SPARE = 8  # threads for those that are refused, and for probes, when all others are taken


@dataclass(frozen=True)
class Limits:
    """What the server bears.

    Attributes:
        connections: open at once; the next ones wait in the kernel's queue.
        headers: bytes of a request's headers.
        body: bytes of a body.
        bodies: bytes of all bodies that are in hand, arriving ones among them.
        patience: with connections.
        crowded: with connections when there are as many as may be.

    """

    connections: int = 1000
    headers: int = 32 * 2**10
    body: int = 16 * 2**20
    bodies: int = 64 * 2**20
    patience: Patience = Patience()  # noqa: RUF009 - frozen, so one default instance can be shared
    crowded: Patience = Patience(idle=2.0, reading=5.0)  # noqa: RUF009


class Server(TcpWSGIServer):  # type: ignore[misc]
    """A server that listens from its making on.

    Args:
        application: answers.
        host: the address to listen at.
        port: and the port; 0 for any.
        threads: how many requests are answered at once.
        limits: what it bears.
        wants_body: whether a large body will be of any use, by the WSGI environ of its headers; else it is not read.

    Raises:
        BadConfiguration: it cannot listen there.

    """

    channel_class = Connection

    def __init__(
        self,
        application: Wsgi,
        host: str,
        port: int,
        *,
        threads: int,
        limits: Limits = Limits(),
        wants_body: WantsBody = lambda _: True,
    ) -> None:
        self.wants_body = wants_body
        self.room = Room(limits.bodies)
        self._limits = limits
        self._accept_at = 0.0
        try:
            super().__init__(
                application,
                {},  # its sockets
                adj=Adjustments(
                    host=host,
                    port=port,
                    threads=threads,
                    ident=None,
                    connection_limit=limits.connections,
                    max_request_header_size=limits.headers,
                    max_request_body_size=limits.body + 1,  # the first size that is refused
                    inbuf_overflow=limits.body + 1,  # what is asked is never written to a disk,
                    outbuf_overflow=2**30,  # nor what is answered,
                    outbuf_high_watermark=2**20,  # of which a client that reads slowly lets no more pile up
                    cleanup_interval=1,
                    channel_request_lookahead=1,  # reads on while it answers, and so sees that the client hangs up
                    asyncore_use_poll=True,  # select() knows no file beyond 1024
                    clear_untrusted_proxy_headers=True,
                ),
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such address"
            raise BadConfiguration(f"cannot listen at {host}:{port}: {reason}") from None

    def maintenance(self, now: float) -> None:
        """Close what takes too long: a byte now and then is no request, and who does not read gets no more.

        At once: waitress' own way waits until the client can be written to, which may be never.
        """
        patience = self._limits.crowded if self.in_connection_overflow else self._limits.patience
        for connection in [*self.active_channels.values()]:
            if connection.overdue(now, patience):
                connection.handle_close()

    def readable(self) -> bool:
        """Whether a connection would be taken now."""
        return bool(super().readable()) and time.monotonic() >= self._accept_at

    def accept(self) -> Any:
        """Take a connection, or None. Where the system has no more to give, wait: the loop would ask again at once."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in SCARCE:
                raise
            self._accept_at = time.monotonic() + PAUSE
            logger.warning("no connection can be taken: %s; raise the limit (ulimit -n)", error.strerror)
            return None

    def add_task(self, task: Connection) -> None:
        """Have a request answered; a probe before others that wait, so that a crowd is no reason for a restart."""
        super().add_task(task)
        dispatcher = self.task_dispatcher
        with dispatcher.lock:
            queue = dispatcher.queue
            if len(queue) > 1 and queue[-1] is task and task.probes and not queue[0].probes:
                queue.rotate(1)

    def refuse_connections(self) -> None:
        """Take no new connection; those that are open stay. From any thread."""
        self.trigger.pull_trigger(lambda: dispatcher.close(self))

    def finish(self, seconds: float) -> None:
        """Let the last replies leave, for so many seconds at most, and end the threads that are idle."""
        end = time.time() + seconds
        while time.time() < end and any(connection.busy for connection in [*self.active_channels.values()]):
            time.sleep(0.01)
        self.task_dispatcher.shutdown(timeout=1)
