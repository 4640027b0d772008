"""Until when a request may still spend: its time is not over, and nothing has ended it early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from optillm_cerebras_cepo.errors import CepoError, DeadlineExceeded, Ended


class Deadline:
    """One request's time limit, shared by all its threads.

    Args:
        seconds: how long the request may take from now on.
        clock: seconds that only ever grow.

    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = seconds
        self._at = clock() + seconds
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._reason: CepoError | None = None
        self._told: dict[object, Callable[[], object]] = {}

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._at - self._clock())

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
        """Within this block, call `tell` once if the request ends; at once if it has ended already."""
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
        """Raise what ended the request, or DeadlineExceeded when its time is over."""
        if self._over.is_set():
            raise self._reason or Ended("the request has ended")
        if not self.remaining:
            raise DeadlineExceeded(
                f"no answer within {self._seconds:g} s; raise CEPO_CEREBRAS_DEADLINE or lower the effort"
            )

    def wait(self, seconds: float) -> None:
        """Sleep, at most until the deadline, and wake early when the request ends."""
        self._over.wait(min(seconds, self.remaining))
