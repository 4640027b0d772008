"""Waiting in line: who waits is let in by rank, and the first in line alone asks at the door."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from optillm_cerebras_cepo.deadline import Deadline

Rank = tuple[int, ...]  # smaller goes first
Asked = TypeVar("Asked")
Pass = TypeVar("Pass")
Why = TypeVar("Why")


@dataclass(frozen=True)
class Closed(Generic[Why]):
    """The door stays closed for so many seconds, infinite: until the line is woken; `why` is for who waits."""

    seconds: float = math.inf
    why: Why | None = None


@dataclass(order=True)
class _Waiting(Generic[Asked]):
    rank: Rank
    number: int  # equals go in the order of their coming
    asked: Asked = field(compare=False)
    turn: threading.Event = field(compare=False, default_factory=threading.Event)


class Line(Generic[Asked, Pass, Why]):
    """One line before one door.

    Args:
        door: is asked with what the first in line wants, one call at a time. It returns what lets it in, or Closed;
            what it raises goes to the one that asked, who leaves the line.

    """

    def __init__(self, door: Callable[[Asked], Pass | Closed[Why]]) -> None:
        self._door = door
        self._lock = threading.Lock()
        self._came = 0
        self._asking = False  # whether the door is being asked: by one at a time, and without the lock
        self._waiting: list[_Waiting[Asked]] = []

    @property
    def length(self) -> int:
        """How many wait."""
        with self._lock:
            return len(self._waiting)

    def enter(
        self, rank: Rank, asked: Asked, deadline: Deadline, waits: Callable[[Why], object] = lambda _: None
    ) -> Pass:
        """Wait until the door opens.

        Args:
            rank: the place in line.
            asked: what the door is asked with.
            deadline: until when to wait.
            waits: is told why the door is closed, each time that it says so; may raise to leave the line.

        Raises:
            What the door or `waits` raise, or what ended the deadline.

        """
        with self._lock:
            self._came += 1
            entry = _Waiting(rank, self._came, asked)
            heappush(self._waiting, entry)
        try:
            while True:
                entry.turn.clear()
                deadline.check()
                answer = self._ask(entry)
                if not isinstance(answer, Closed):
                    return answer
                if answer.why is not None:
                    waits(answer.why)
                deadline.wait_event(entry.turn, answer.seconds)
        finally:
            self._leave(entry)

    def wake(self) -> None:
        """Let the first in line ask again."""
        with self._lock:
            if self._waiting:
                self._waiting[0].turn.set()

    def _ask(self, entry: _Waiting[Asked]) -> Pass | Closed[Why]:
        with self._lock:
            if self._asking or self._waiting[0] is not entry:
                return Closed()
            self._asking = True
        try:
            return self._door(entry.asked)
        finally:
            with self._lock:
                self._asking = False
                if self._waiting[0] is not entry:  # who came to the front meanwhile could not ask
                    self._waiting[0].turn.set()

    def _leave(self, entry: _Waiting[Asked]) -> None:
        with self._lock:
            if self._waiting[0] is entry:
                heappop(self._waiting)
            else:
                self._waiting.remove(entry)
                heapify(self._waiting)
            if self._waiting:
                self._waiting[0].turn.set()


class Places:
    """So many places; who waits for one stands in line."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._lock = threading.Lock()
        self._line: Line[None, bool, None] = Line(self._take)

    @contextmanager
    def taken(self, rank: Rank, deadline: Deadline) -> Iterator[None]:
        """Hold a place within this block. Raises what ended the request while it waited for one."""
        self._line.enter(rank, None, deadline)
        try:
            yield
        finally:
            with self._lock:
                self._free += 1
            self._line.wake()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return self._line.length

    def _take(self, _: None) -> bool | Closed[None]:
        with self._lock:
            if not self._free:
                return Closed()
            self._free -= 1
            return True
