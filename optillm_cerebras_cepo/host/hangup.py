"""Whether the client is still there. WSGI does not say; the server underneath does, each in its own way."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Mapping
from typing import Any

import flask


def watch() -> Callable[[], bool]:
    """What tells whether the client of this thread's request has hung up.

    Where the server does not say, as in OptiLLM's batch mode, it is believed to be there.
    """
    return _watch(flask.request.environ) if flask.has_request_context() else lambda: False


def _watch(environ: Mapping[str, Any]) -> Callable[[], bool]:
    disconnected: Callable[[], bool] | None = environ.get("waitress.client_disconnected")  # of the sidecar's server
    if disconnected is not None:
        return disconnected
    connection = environ.get("werkzeug.socket")  # of the server that OptiLLM runs
    if not isinstance(connection, socket.socket):
        return lambda: False

    def hung_up() -> bool:
        try:
            readable, _, _ = select.select([connection], [], [], 0)
            return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):  # reset, or closed by the server already
            return True

    return hung_up
