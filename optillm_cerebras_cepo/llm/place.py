"""Taking turns: so many calls of the process at once, and the oldest request's next call first.

Served in the order in which they come, the calls of eight requests would finish all eight at the end. Served by age,
the first request is done when it could be, then the second, and the last is no later.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from heapq import heapify, heappop, heappush

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Step
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.llm.base import ChatClient

Rank = tuple[int, ...]  # smaller goes first
ORDER = {step: -place for place, step in enumerate(Step)}  # a later step finishes its request sooner


class Places:
    """So many places for the whole process; who waits is let in by rank, equals in the order of their coming."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._free = count
        self._came = 0
        self._waiting: list[tuple[Rank, int, threading.Event]] = []

    @contextmanager
    def taken(self, rank: Rank, deadline: Deadline) -> Iterator[None]:
        """Hold a place within this block. Raises what ended the request while it waited for one."""
        self._wait(rank, deadline)
        try:
            yield
        finally:
            with self._lock:
                self._free += 1
                self._admit()

    def _wait(self, rank: Rank, deadline: Deadline) -> None:
        turn = threading.Event()
        with self._lock:
            self._came += 1
            heappush(self._waiting, (rank, self._came, turn))
            self._admit()
        if turn.is_set():
            return
        with deadline.on_end(turn.set):
            turn.wait(min(deadline.remaining, threading.TIMEOUT_MAX))
        with self._lock:
            ours = [entry for entry in self._waiting if entry[2] is turn]
            if ours:  # woken without a place
                self._waiting.remove(ours[0])
                heapify(self._waiting)
        if ours:
            deadline.check()

    def _admit(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            heappop(self._waiting)[2].set()


class Place:
    """Holds a place for each call of one request; `age` is smaller the older the request is."""

    def __init__(self, inner: ChatClient, places: Places, age: int) -> None:
        self._inner = inner
        self._places = places
        self._age = age

    def complete(self, request: ChatRequest) -> Completion:
        """Answer when it is this call's turn. Raises what the inner client raises, or what ended the request."""
        with self._places.taken((self._age, ORDER[request.label.step]), request.deadline):
            left = request.deadline.remaining  # less than before the wait, for which the time-out was set
            timeout = left if request.timeout is None else min(request.timeout, left)
            return self._inner.complete(replace(request, timeout=max(0.001, timeout)))
