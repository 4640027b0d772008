"""Until when a request may still spend: its time is not over, and nothing has ended it early.

A deadline has parts: a candidate, or a step that has to leave time for what comes after it. A part ends before
the whole, which goes on; the whole ends all of its parts.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TypeVar

from optillm_cerebras_cepo.errors import CepoError, DeadlineExceeded, Ended, OutOfTime

T = TypeVar("T")
Sleep = Callable[[threading.Event, float], object]
sleep: Sleep = threading.Event.wait


class Deadline:
    """A time limit, shared by all threads that work under it.

    Args:
        seconds: how long there is from now on; infinite for no limit.
        clock: seconds that only ever grow.
        sleep: waits for an event, for so many seconds at most.

    All stay as attributes.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic, sleep: Sleep = sleep) -> None:
        self.clock = clock
        self.sleep = sleep
        self.seconds = seconds
        self._at = clock() + seconds
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._reason: CepoError | None = None
        self._told: dict[object, Callable[[], object]] = {}

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - self.clock())

    @property
    def whole(self) -> Deadline:
        """The request's own deadline."""
        return self

    def part(self, reserve: float = 0.0) -> Part:
        """A part that is over this many seconds before the whole is, and can be ended by itself."""
        return Part(self, reserve)

    def end(self, reason: CepoError | None = None) -> None:
        """Let no new call start, give up those in flight, and wake whoever waits. The first reason given stays."""
        with self._lock:
            if self._over.is_set():
                return
            self._reason = reason
            self._over.set()
            told, self._told = self._told, {}
        for tell in told.values():
            tell()

    @contextmanager
    def on_end(self, tell: Callable[[], object]) -> Iterator[None]:
        """Within this block, call `tell` once if this ends; at once if it has ended already."""
        key = object()
        with self._lock:
            over = self._over.is_set()
            if not over:
                self._told[key] = tell
        if over:
            tell()
        try:
            yield
        finally:
            with self._lock:
                self._told.pop(key, None)

    def check(self) -> None:
        """Raise what ended this, or DeadlineExceeded when its time is over."""
        if self._over.is_set():
            raise self._reason or Ended("the request has ended")
        if not self.remaining:
            raise self.exceeded()

    def exceeded(self) -> DeadlineExceeded:
        """What to tell a client who gets no answer in this time."""
        return DeadlineExceeded(
            f"no answer within {self.seconds:g} s; raise CEPO_CEREBRAS_DEADLINE or lower the effort"
        )

    def wait_for(self, future: Future[T]) -> T:
        """Return the future's result, or raise what it raises, or what ended this before it was there.

        The future goes on in that case; cancel it where nobody else waits for it.
        """
        woken = threading.Event()
        future.add_done_callback(lambda _: woken.set())
        self.wait_event(woken)
        if not future.done():
            self.check()
            raise self.exceeded()
        return future.result()

    def wait_event(self, event: threading.Event, seconds: float = math.inf) -> None:
        """Wait for the event for so many seconds, at most until the deadline; when this ends, the event is set."""
        with self.on_end(event.set):
            self.sleep(event, min(seconds, self.remaining, threading.TIMEOUT_MAX))

    def wait(self, seconds: float) -> None:
        """Sleep, at most until the deadline, and wake early when this ends."""
        self.wait_event(threading.Event(), seconds)


class Part(Deadline):
    """A part of a deadline; see `Deadline.part`."""

    def __init__(self, of: Deadline, reserve: float) -> None:
        super().__init__(max(0.0, of.remaining - reserve), of.clock, of.sleep)
        self._of = of

    @property
    def whole(self) -> Deadline:
        """The deadline that this is a part of, or a part of a part."""
        return self._of.whole

    @contextmanager
    def on_end(self, tell: Callable[[], object]) -> Iterator[None]:
        """Within this block, call `tell` if this ends, or the whole."""
        with self._of.on_end(tell), super().on_end(tell):
            yield

    def check(self) -> None:
        """Raise what ended the whole or this, or OutOfTime when this part's time is over."""
        self._of.check()
        if self._over.is_set():
            super().check()
        if not self.remaining:
            raise OutOfTime("the time that is left is needed for the answer")


def unlimited() -> Deadline:
    """A deadline that only ends when somebody ends it."""
    return Deadline(math.inf)
