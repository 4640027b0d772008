"""Calls whose replies wait until whoever runs the simulator releases them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Hold:
    """The calls that get no further by themselves: held ones, and those that hang or trickle until the client leaves.

    The simulator's event loop waits in it; any other thread may look and release.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stalled: set[int] = set()
        self._held: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Event]] = {}
        self._open = False

    @property
    def stalled(self) -> frozenset[int]:
        """The numbers of all of them."""
        with self._lock:
            return frozenset(self._stalled)

    @property
    def held(self) -> int:
        """How many of them `release` would let go."""
        with self._lock:
            return len(self._held)

    def release(self, count: int | None = None) -> None:
        """Let this many held calls go, in the order of their numbers; None: all, and every later one at once."""
        with self._lock:
            self._open = self._open or count is None
            going = [self._held.pop(number) for number in sorted(self._held)[:count]]
        for loop, event in going:
            loop.call_soon_threadsafe(event.set)

    async def wait(self, number: int) -> None:
        """Return when this call is released."""
        released = asyncio.Event()
        with self.stalling(number):
            with self._lock:
                if self._open:
                    return
                self._held[number] = asyncio.get_running_loop(), released
            try:
                await released.wait()
            finally:
                with self._lock:
                    self._held.pop(number, None)

    @contextmanager
    def stalling(self, number: int) -> Iterator[None]:
        """Count this call as stalled within the block."""
        with self._lock:
            self._stalled.add(number)
        try:
            yield
        finally:
            with self._lock:
                self._stalled.discard(number)
