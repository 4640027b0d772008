"""Priority queue in front of a resource: only the head of the queue tries to acquire it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from optillm_cerebras_cepo.core.deadline import Deadline

Priority = tuple[int, ...]  # smaller goes first
Request = TypeVar("Request")
Grant = TypeVar("Grant")
Reason = TypeVar("Reason")


@dataclass(frozen=True)
class Blocked(Generic[Reason]):
    """Answer of a resource that cannot be acquired now.

    The head of the queue tries again after `seconds`; if infinite, after `notify`. `reason` is passed to the waiter.
    """

    seconds: float = math.inf
    reason: Reason | None = None


@dataclass(order=True)
class _Waiter(Generic[Request]):
    priority: Priority
    number: int  # in order of arrival, which decides among equal priorities
    request: Request = field(compare=False)
    wake: threading.Event = field(compare=False, default_factory=threading.Event)


class PriorityQueue(Generic[Request, Grant, Reason]):
    """Waiters for one resource, by priority.

    Args:
        try_acquire: is called with the request of the head of the queue, one call at a time and without a lock. It
            returns the grant or Blocked. What it raises goes to the waiter, which leaves the queue.

    """

    def __init__(self, try_acquire: Callable[[Request], Grant | Blocked[Reason]]) -> None:
        self._try_acquire = try_acquire
        self._lock = threading.Lock()
        self._arrivals = 0
        self._trying = False
        self._waiters: list[_Waiter[Request]] = []

    @property
    def waiting(self) -> int:
        """Number of waiters."""
        with self._lock:
            return len(self._waiters)

    def acquire(
        self,
        priority: Priority,
        request: Request,
        deadline: Deadline,
        on_blocked: Callable[[Reason], object] = lambda _: None,
    ) -> Grant:
        """Wait for a grant.

        Args:
            priority: smaller goes first.
            request: is passed to `try_acquire`.
            deadline: until when to wait.
            on_blocked: is called with each reason for which this waiter is blocked. It may raise to leave the queue.

        Raises what `try_acquire` or `on_blocked` raise, or what ended the deadline.
        """
        with self._lock:
            self._arrivals += 1
            waiter = _Waiter(priority, self._arrivals, request)
            heappush(self._waiters, waiter)
        try:
            while True:
                waiter.wake.clear()
                deadline.check()
                answer = self._try_as_head(waiter)
                if not isinstance(answer, Blocked):
                    return answer
                if answer.reason is not None:
                    on_blocked(answer.reason)
                deadline.wait_event(waiter.wake, answer.seconds)
        finally:
            self._leave(waiter)

    def notify(self) -> None:
        """Let the head of the queue try again."""
        with self._lock:
            if self._waiters:
                self._waiters[0].wake.set()

    def _try_as_head(self, waiter: _Waiter[Request]) -> Grant | Blocked[Reason]:
        with self._lock:
            if self._trying or self._waiters[0] is not waiter:
                return Blocked()
            self._trying = True
        try:
            return self._try_acquire(waiter.request)
        finally:
            with self._lock:
                self._trying = False
                if self._waiters[0] is not waiter:  # a waiter that became the head meanwhile could not try
                    self._waiters[0].wake.set()

    def _leave(self, waiter: _Waiter[Request]) -> None:
        with self._lock:
            if self._waiters[0] is waiter:
                heappop(self._waiters)
            else:
                self._waiters.remove(waiter)
                heapify(self._waiters)
            if self._waiters:
                self._waiters[0].wake.set()


class PrioritySemaphore:
    """Semaphore whose waiters are served by priority."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._lock = threading.Lock()
        self._queue: PriorityQueue[None, bool, None] = PriorityQueue(self._try_take)

    @contextmanager
    def slot(self, priority: Priority, deadline: Deadline) -> Iterator[None]:
        """Hold a slot within this block. Raises what ended the deadline during the wait."""
        self._queue.acquire(priority, None, deadline)
        try:
            yield
        finally:
            with self._lock:
                self._free += 1
            self._queue.notify()

    @property
    def waiting(self) -> int:
        """Number of waiters."""
        return self._queue.waiting

    def _try_take(self, _: None) -> bool | Blocked[None]:
        with self._lock:
            if not self._free:
                return Blocked()
            self._free -= 1
            return True
