"""The HTTP server: waitress, which reads without a thread, answers from a pool, and knows who has hung up."""

from __future__ import annotations

import json
import time

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask
from waitress.wasyncore import dispatcher

from optillm_cerebras_cepo.errors import BadConfiguration
from optillm_cerebras_cepo.host.launch import Wsgi
from optillm_cerebras_cepo.sidecar import logs
from optillm_cerebras_cepo.sidecar.entrance import unreadable

CONNECTIONS = 1000  # open at once; the next ones wait in the kernel's queue
HEADERS = 32 * 2**10  # bytes of a request's headers
IDLE = 75  # seconds after which a connection on which nothing happens is closed; proxies keep theirs for 60
READING = 60.0  # seconds that a request may take to arrive
SPARE = 8  # threads for those that are refused, and for probes, when all others are taken


class _Refusal(ErrorTask):  # type: ignore[misc]
    """What waitress answers itself, in the form of all other errors."""

    def execute(self) -> None:
        code = self.request.error.code
        error = unreadable(code)
        body = json.dumps(error.body()).encode()
        self.status = f"{code} {self.request.error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)
        logs.access({"client": self.channel.addr[0], "status": code, "bytes": len(body), "error": error.code})


class _Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that remembers since when a request has been arriving on it."""

    error_task_class = _Refusal
    arriving_since: float | None = None

    @property
    def busy(self) -> bool:
        """Whether a request on it is not answered to the last byte."""
        return bool(self.requests or self.total_outbufs_len)

    def received(self, data: bytes) -> bool:
        """Read on."""
        done = super().received(data)
        if self.request is None:
            self.arriving_since = None
        elif self.arriving_since is None:
            self.arriving_since = time.time()
        return bool(done)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """A server that listens from its making on.

    Args:
        application: answers.
        host: the address to listen at.
        port: and the port; 0 for any.
        threads: how many requests are answered at once.
        max_body: bytes of a body.

    Raises:
        BadConfiguration: it cannot listen there.

    """

    channel_class = _Channel

    def __init__(self, application: Wsgi, host: str, port: int, *, threads: int, max_body: int) -> None:
        try:
            super().__init__(
                application,
                {},  # its sockets
                adj=Adjustments(
                    host=host,
                    port=port,
                    threads=threads,
                    ident=None,
                    connection_limit=CONNECTIONS,
                    max_request_header_size=HEADERS,
                    max_request_body_size=max_body,
                    channel_timeout=IDLE,
                    cleanup_interval=5,
                    channel_request_lookahead=1,  # reads on while it answers, and so sees that the client hangs up
                    asyncore_use_poll=True,  # select() knows no file beyond 1024
                    clear_untrusted_proxy_headers=True,
                ),
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such address"
            raise BadConfiguration(f"cannot listen at {host}:{port}: {reason}") from None

    def maintenance(self, now: float) -> None:
        """Close what is idle, and what has been arriving for too long: a byte now and then is no request."""
        super().maintenance(now)
        for channel in self.active_channels.values():
            if channel.arriving_since is not None and channel.arriving_since < now - READING:
                channel.will_close = True

    def refuse_connections(self) -> None:
        """Take no new connection; those that are open stay. From any thread."""
        self.trigger.pull_trigger(lambda: dispatcher.close(self))

    def finish(self, seconds: float) -> None:
        """Let the last replies leave, for so many seconds at most, and end the threads that are idle."""
        end = time.time() + seconds
        while time.time() < end and any(channel.busy for channel in [*self.active_channels.values()]):
            time.sleep(0.01)
        self.task_dispatcher.shutdown(timeout=0)
