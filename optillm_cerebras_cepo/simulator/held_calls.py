"""Calls whose replies wait until a test releases them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class HeldCalls:
    """Stalled calls: held ones, and those that hang or trickle until the client disconnects.

    The simulator's event loop waits; any thread may read and release.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stalled: set[int] = set()
        self._held: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Event]] = {}
        self._released_all = False

    @property
    def stalled(self) -> frozenset[int]:
        """Numbers of all stalled calls."""
        with self._lock:
            return frozenset(self._stalled)

    @property
    def held(self) -> int:
        """Number of calls that `release` would release."""
        with self._lock:
            return len(self._held)

    def release(self, count: int | None = None) -> None:
        """Release this many held calls in the order of their numbers; None: all, and later ones immediately."""
        with self._lock:
            self._released_all = self._released_all or count is None
            released = [self._held.pop(number) for number in sorted(self._held)[:count]]
        for loop, event in released:
            loop.call_soon_threadsafe(event.set)

    async def wait(self, number: int) -> None:
        """Wait until this call is released."""
        released = asyncio.Event()
        with self.stalling(number):
            with self._lock:
                if self._released_all:
                    return
                self._held[number] = asyncio.get_running_loop(), released
            try:
                await released.wait()
            finally:
                with self._lock:
                    self._held.pop(number, None)

    @contextmanager
    def stalling(self, number: int) -> Iterator[None]:
        """Mark this call as stalled within the block."""
        with self._lock:
            self._stalled.add(number)
        try:
            yield
        finally:
            with self._lock:
                self._stalled.discard(number)
