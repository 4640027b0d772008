"""Deadline of one request: its time, and whether something ended it early.

A deadline has parts: for a candidate, or for a step that has to leave time for later steps. A part can end before the
whole, which continues. The end of the whole ends all its parts.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from optillm_cerebras_cepo.core.errors import CepoError, DeadlineExceeded, Ended, OutOfTime

T = TypeVar("T")
Sleep = Callable[[threading.Event, float], object]
sleep: Sleep = threading.Event.wait


class Deadline:
    """Time limit of one request. Safe for many threads.

    Args:
        seconds: from now on; by default, there is no limit.
        clock: returns seconds, monotonic.
        sleep: waits for an event, at most so many seconds.

    All are attributes as well.
    """

    def __init__(
        self, seconds: float = math.inf, clock: Callable[[], float] = time.monotonic, sleep: Sleep = sleep
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self.seconds = seconds
        self._at = clock() + seconds
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._reason: CepoError | None = None
        self._callbacks: dict[object, Callable[[], object]] = {}

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - self.clock())

    @property
    def whole(self) -> Deadline:
        """The request's deadline."""
        return self

    def part(self, reserve: float = 0.0) -> PartialDeadline:
        """Return a part that ends `reserve` seconds before the whole, or earlier by its own `end`."""
        return PartialDeadline(self, reserve)

    def end(self, reason: CepoError | None = None) -> None:
        """Start no further call, cancel those in flight, and wake all waiters. The first reason counts."""
        with self._lock:
            if self._ended.is_set():
                return
            self._reason = reason
            self._ended.set()
            callbacks, self._callbacks = self._callbacks, {}
        for callback in callbacks.values():
            callback()

    @contextmanager
    def on_end(self, callback: Callable[[], object]) -> Iterator[None]:
        """Within this block, call `callback` once if this ends; immediately if it has ended already."""
        key = object()
        with self._lock:
            ended = self._ended.is_set()
            if not ended:
                self._callbacks[key] = callback
        if ended:
            callback()
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.pop(key, None)

    def check(self) -> None:
        """Raise what ended this, or DeadlineExceeded if the time is over."""
        if self._ended.is_set():
            raise self._reason or Ended("the request has ended")
        if not self.remaining:
            raise self.exceeded()

    def exceeded(self) -> DeadlineExceeded:
        """Return the error for a client that gets no answer in this time."""
        return DeadlineExceeded(
            f"no answer within {self.seconds:g} s; raise CEPO_CEREBRAS_DEADLINE or lower the effort"
        )

    def wait_for(self, future: Future[T]) -> T:
        """Return the future's result. Raises what it raises, or what ended this before.

        The future continues in that case; cancel it if nobody else waits for it.
        """
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        self.wait_event(done)
        if not future.done():
            self.check()
            raise self.exceeded()
        return future.result()

    def wait_event(self, event: threading.Event, seconds: float = math.inf) -> None:
        """Wait for the event, at most so many seconds and until the deadline. The end of this sets the event."""
        with self.on_end(event.set):
            self.sleep(event, min(seconds, self.remaining, threading.TIMEOUT_MAX))

    def wait(self, seconds: float) -> None:
        """Sleep, at most until the deadline or the end of this."""
        self.wait_event(threading.Event(), seconds)


class PartialDeadline(Deadline):
    """Part of a deadline; see `Deadline.part`."""

    def __init__(self, parent: Deadline, reserve: float) -> None:
        super().__init__(max(0.0, parent.remaining - reserve), parent.clock, parent.sleep)
        self._parent = parent

    @property
    def whole(self) -> Deadline:
        """The request's deadline, also for a part of a part."""
        return self._parent.whole

    @contextmanager
    def on_end(self, callback: Callable[[], object]) -> Iterator[None]:
        """Within this block, call `callback` if this or the whole ends."""
        with self._parent.on_end(callback), super().on_end(callback):
            yield

    def check(self) -> None:
        """Raise what ended the whole or this, or OutOfTime if this part's time is over."""
        self._parent.check()
        if self._ended.is_set():
            super().check()
        if not self.remaining:
            raise OutOfTime("the remaining time is reserved for the answer")
