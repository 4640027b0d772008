"""Detection of clients that hang up while their requests are worked on."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import flask

POLL = 0.5  # seconds between two checks of a connection


class DisconnectWatcher:
    """Connections of the requests that are worked on, checked by one thread for all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[object, tuple[Callable[[], bool], Callable[[], object]]] = {}
        self._is_running = False

    @contextmanager
    def watched(self, hung_up: Callable[[], bool], on_hang_up: Callable[[], object]) -> Iterator[None]:
        """Within this block, call `on_hang_up` when `hung_up` returns true; it may be called more than once."""
        key = object()
        with self._lock:
            if not self._is_running:
                threading.Thread(target=self._run, name="cepo-cerebras-clients", daemon=True).start()
                self._is_running = True  # not before: if no thread can be started, the next request tries again
            self._watched[key] = hung_up, on_hang_up
        try:
            yield
        finally:
            with self._lock:
                del self._watched[key]

    def check(self) -> None:
        """Check each connection once."""
        with self._lock:
            watched = list(self._watched.values())
        for hung_up, on_hang_up in watched:
            with suppress(BaseException):  # an error of one request must not end the thread that all need
                if hung_up():
                    on_hang_up()

    def _run(self) -> None:
        while True:
            time.sleep(POLL)
            self.check()  # its local variables must not outlive the check: they refer to requests


DISCONNECTS = DisconnectWatcher()


def current_client() -> Callable[[], bool]:
    """Return a function that returns whether the client of the current request has hung up.

    Where that cannot be seen, as in OptiLLM's batch mode, it always returns false.
    """
    return connection_check(flask.request.environ) if flask.has_request_context() else lambda: False


def connection_check(environ: Mapping[str, Any]) -> Callable[[], bool]:
    """Return the check for a WSGI environment: of waitress (the sidecar) or of werkzeug (OptiLLM's own server)."""
    disconnected: Callable[[], bool] | None = environ.get("waitress.client_disconnected")
    if disconnected is not None:
        return disconnected
    connection = environ.get("werkzeug.socket")
    if not isinstance(connection, socket.socket):
        return lambda: False

    def hung_up() -> bool:
        try:
            with selectors.DefaultSelector() as selector:  # select() is limited to 1024 file descriptors
                selector.register(connection, selectors.EVENT_READ)
                readable = selector.select(0)
            return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
        except (OSError, ValueError):  # reset, or already closed by the server
            return True

    return hung_up
