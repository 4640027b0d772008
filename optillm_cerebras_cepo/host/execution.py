"""Execution of one request: on the caller's thread for a whole reply, on its own thread for a stream.

If the client hangs up, the execution is given up.
"""

from __future__ import annotations

import logging
import queue
import selectors
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Protocol

import flask

from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import HUNG_UP, CepoError, Ended, Superseded
from optillm_cerebras_cepo.core.events import CallFinished, Event, Observer, describe
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.trace.store import TraceStore

POLL = 0.5  # seconds between two checks of a connection

REQUEST_OBSERVER = "cepo_cerebras.request_observer"  # in the WSGI environment
logger = logging.getLogger("optillm_cerebras_cepo")
progress_logger = logging.getLogger("optillm_cerebras_cepo.progress")


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


class RequestObserver(Protocol):
    """Observer of one request, called from any thread. It must not raise: an exception would end the request."""

    request_id: str
    traces: TraceStore | None  # stores the request's trace unless the settings name a folder

    def on_approach(self, approach: str) -> None:
        """Called when the request's approach is known, if it is served."""

    def on_start(self, effort: str) -> None:
        """Called before the execution starts."""

    def on_background(self) -> None:
        """Called before the execution moves to its own thread: `on_end` may come after the response is closed."""

    def on_event(self, event: Event) -> None:
        """Called for each progress event."""

    def on_end(self, result: RequestResult | CepoError) -> None:
        """Called when the execution has ended."""


def request_observer() -> RequestObserver | None:
    """Return the observer of the current request, which the sidecar sets."""
    return flask.request.environ.get(REQUEST_OBSERVER) if flask.has_request_context() else None


@dataclass(frozen=True)
class ContentDelta:
    """What a chunk of the model's reply adds to the answer: `content`, `reasoning` or `tool_calls`."""

    delta: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class TraceEntry:
    """An entry of the live trace, by the name of its list (`trace/recorder.py`)."""

    entry: Mapping[str, Mapping[str, Any]] = field(repr=False)


@dataclass(frozen=True)
class NoUpdate:
    """Nothing has happened within the time that `updates` was given."""


Update = Event | ContentDelta | TraceEntry | NoUpdate | RequestResult | CepoError


class Execution:
    """Execution of one request. Call either `result`, or `start` and then `updates`.

    Args:
        solve: answers the request. It gets an observer of events, and a function that publishes further updates.
        deadline: the request's; `give_up` ends it.
        observer: is called for all events and the end.

    """

    def __init__(
        self,
        solve: Callable[[Observer, Callable[[Update], None]], RequestResult],
        deadline: Deadline,
        observer: RequestObserver | None = None,
    ) -> None:
        self._solve = solve
        self._end: Callable[[CepoError | None], object] = deadline.end
        self._observer = observer
        self._updates: queue.SimpleQueue[Update] = queue.SimpleQueue()
        self._publish: Callable[[Update], None] = lambda _: None
        self._aborted: list[CallFinished] = []

    def start(self) -> None:
        """Execute on a new thread; `updates` returns what happens."""
        self._publish = self._updates.put
        if self._observer:
            self._observer.on_background()
        try:
            threading.Thread(target=self._run_in_thread, name="cepo-cerebras-request", daemon=True).start()
        except RuntimeError:  # run `solve` all the same, with an ended deadline: it releases what the request holds
            self._end(CepoError("the server has no thread left for this request; try again later"))
            self._run_in_thread()

    def updates(self, interval: float) -> Iterator[Update]:
        """Yield all that happens, in order, up to the RequestResult or CepoError. NoUpdate after each idle interval."""
        while True:
            try:
                update = self._updates.get(timeout=interval)
            except queue.Empty:
                update = NoUpdate()
            yield update
            if isinstance(update, RequestResult | CepoError):
                return

    def result(self, hung_up: Callable[[], bool]) -> RequestResult:
        """Execute on this thread, and give up when `hung_up` returns true.

        Raises:
            CepoError: there is no answer. Exceptions of any other kind are logged and converted.

        """
        # On this thread: starting another one doubles the time that a direct call spends here. In an empty context: a
        # connection to the API keeps the context in which it was made, and Flask's has the request in it.
        with DISCONNECTS.watched(hung_up, self.give_up):
            result = Context().run(self._run)
        if isinstance(result, RequestResult):
            return result
        try:
            raise result
        finally:
            del result  # the error's traceback refers to this frame; without it, no reference cycle is left

    def give_up(self) -> None:
        """Start no further call, and cancel those in flight. Does nothing after the end."""
        self._end(Ended(HUNG_UP))

    def _observe(self, event: Event) -> None:
        if isinstance(event, CallFinished) and isinstance(event.error, Ended):
            self._aborted.append(event)
        failed = isinstance(event, CallFinished) and not isinstance(event.error, Superseded | None)
        # The JSON log has the request's id as a field.
        extra = {"request_id": self._observer.request_id} if self._observer else None
        level = logging.WARNING if failed else logging.INFO
        progress_logger.log(level, "cepo_cerebras: %s", describe(event), extra=extra)
        if self._observer:
            self._observer.on_event(event)
        self._publish(event)

    def _run(self) -> RequestResult | CepoError:
        """Return the result; publish it in any case, or the reader of `updates` would wait for ever."""
        result: RequestResult | CepoError = CepoError("cepo_cerebras was interrupted")
        try:
            result = self._outcome()
            if self._observer:
                self._observer.on_end(result)
        finally:
            # Both refer to the deadline, which refers to the error that ended it: a reference cycle with the result.
            self._end = lambda _: None
            del self._solve
            self._publish(result)
        return result

    def _run_in_thread(self) -> None:
        try:
            self._run()
        except BaseException as error:  # already published; Python's own handler would log the exception's message
            defect(error)

    def _outcome(self) -> RequestResult | CepoError:
        try:
            return self._solve(self._observe, self._publish)
        except KeyboardInterrupt:  # only the main thread gets it, and nobody waits for its answer
            raise
        except BaseException as error:  # also SystemExit of a library: it must end this request, not the server
            if isinstance(error, Ended):  # only a hang-up ends a request with this error
                spent = [error.spent.get(name, 0) for name in ("calls", "prompt_tokens", "completion_tokens")]
                logger.info(
                    "cepo_cerebras: the client hung up; %d calls were made, %d of them aborted in flight, "
                    "and %d + %d tokens spent",
                    *(spent[0], len(self._aborted), *spent[1:]),
                )
            if not isinstance(error, CepoError):
                return defect(error)
            # The frames of its traceback and of its causes refer to the question.
            error.__traceback__ = error.__context__ = error.__cause__ = None
            return error


def defect(error: BaseException) -> CepoError:
    """Log an unexpected exception and return an error for the client, both without its message, maybe a prompt."""
    name = type(error).__name__
    logger.error("cepo_cerebras: defect: %s\n%s", name, "".join(traceback.format_tb(error.__traceback__)))
    return CepoError(f"cepo_cerebras failed with an internal error ({name}); the server's log says where")
