"""Candidates side by side, against the time: those that are late are ended when others are there to choose from."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import Any

from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import OutOfTime


class Race:
    """The deadlines of a request's candidates.

    Args:
        deadline: of the request.
        candidates: how many there are.
        kept: tells how many seconds choosing among them takes.

    """

    def __init__(self, deadline: Deadline, candidates: int, kept: Callable[[], float]) -> None:
        self._deadline = deadline
        self._kept = kept
        self._lock = threading.Lock()
        self._finished = 0
        self._running = {number: deadline.part() for number in range(1, candidates + 1)}
        self.parts = tuple(self._running.values())

    def finish(self, number: int) -> None:
        """Say that this candidate is there; the others are ended where it is late."""
        with self._lock:
            del self._running[number]
            self._finished += 1
        self._end_late()

    def watch(self, running: Sequence[Future[Any]]) -> None:
        """Wait for all of these, and end what is late."""
        left = self._deadline.remaining - self._kept()
        while wait(running, None if math.isinf(left) else max(0.0, left)).not_done and left > 0:
            left = self._deadline.remaining - self._kept()
        self._end_late()

    def _end_late(self) -> None:
        with self._lock:
            late = self._finished > 0 and self._deadline.remaining <= self._kept()
            parts = tuple(self._running.values()) if late else ()
        for part in parts:
            part.end(OutOfTime("the time that is left is needed for choosing among the other candidates"))
