"""The sidecar's HTTP server by itself, in this process, before any application."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from optillm_cerebras_cepo.host.bootstrap import Wsgi
from optillm_cerebras_cepo.sidecar.server import Server, ServerLimits


def address(server: Server) -> str:
    """Where it listens."""
    return f"http://127.0.0.1:{server.effective_port}"


@contextmanager
def serving(application: Wsgi, limits: ServerLimits | None = None, threads: int = 4) -> Iterator[Server]:
    """Serve on a free port, and look after the connections often."""
    server = Server(application, "127.0.0.1", 0, threads=threads, limits=limits or ServerLimits())
    server.adj.cleanup_interval = server.adj.asyncore_loop_timeout = 0.05
    threading.Thread(target=server.run, daemon=True).start()

    def close_all() -> None:
        for connection in [*server.active_channels.values()]:
            connection.handle_close()

    try:
        yield server
    finally:
        server.trigger.pull_trigger(close_all)
        server.stop_listening()
        server.task_dispatcher.shutdown(timeout=5)
