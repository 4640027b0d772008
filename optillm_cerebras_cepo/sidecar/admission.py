"""How many questions are in the house, and whether one more may come in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from optillm_cerebras_cepo.sidecar.refusals import ServerFull, ShuttingDown

GLANCE = 0.5  # seconds; a thread that waits longer hears no signal
RETRY_AFTER = 5.0  # seconds; about what a place takes to get free where questions take a minute


class Admission:
    """Counts those that came in and have not left.

    Args:
        most: how many there may be at once, worked on and waiting.

    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._open = True
        self._changed = threading.Condition()

    @property
    def in_flight(self) -> int:
        """How many are in the house."""
        return self._count

    @property
    def open(self) -> bool:
        """Whether the house has not been closed."""
        return self._open

    def enter(self) -> None:
        """Come in. Raises ServerFull or ShuttingDown; who got in has to `leave`."""
        with self._changed:
            if not self._open:
                raise stopping()
            if self._count >= self._most:
                raise ServerFull(
                    f"the server has {self._count} questions in hand, as many as it takes; try again later",
                    retry_after=RETRY_AFTER,
                )
            self._count += 1

    def leave(self) -> None:
        """Go."""
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more."""
        with self._changed:
            self._open = False

    def wait_until_empty(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> bool:
        """Whether everybody has left within so many seconds."""
        end = clock() + seconds
        with self._changed:
            while self._count:
                left = end - clock()
                if left <= 0:
                    return False
                self._changed.wait(min(left, GLANCE))
            return True


def stopping() -> ShuttingDown:
    """What is said to whom the stopping server does not answer."""
    return ShuttingDown("the server is stopping; try again", retry_after=1.0)
