"""Whether the client is still there. WSGI does not say; the server underneath does, each in its own way."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import flask

POLL = 0.5  # seconds at most between two looks whether a client is still there


class Clients:
    """Clients whose requests are worked on, and one thread that looks whether they are still there."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[object, tuple[Callable[[], bool], Callable[[], object]]] = {}
        self._looks = False

    @contextmanager
    def watched(self, hung_up: Callable[[], bool], tell: Callable[[], object]) -> Iterator[None]:
        """Within this block, call `tell` when the client has hung up; now and then also once more."""
        key = object()
        with self._lock:
            if not self._looks:  # only once it has started: where none can be, the next request tries again
                threading.Thread(target=self._watch, name="cepo-cerebras-clients", daemon=True).start()
                self._looks = True
            self._watched[key] = hung_up, tell
        try:
            yield
        finally:
            with self._lock:
                del self._watched[key]

    def look(self) -> None:
        """Tell those whose clients have hung up."""
        with self._lock:
            watched = list(self._watched.values())
        for hung_up, tell in watched:
            with suppress(BaseException):  # the trouble with one of them is not the others', and no end of this thread
                if hung_up():
                    tell()

    def _watch(self) -> None:
        while True:
            time.sleep(POLL)
            self.look()  # which forgets whom it has looked at


CLIENTS = Clients()


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
            with selectors.DefaultSelector() as selector:  # select() knows no file beyond 1024
                selector.register(connection, selectors.EVENT_READ)
                readable = selector.select(0)
            return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):  # reset, or closed by the server already
            return True

    return hung_up
