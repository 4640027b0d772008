"""How long a request's calls take, and how much of its time steps leave for what has to come after them."""

from __future__ import annotations

import math
import statistics
import threading

MARGIN = 1.25  # of the longest call: the next may be longer
UNKNOWN = 0.1  # of a request's time that is kept for the answer before any call has shown how long one takes
MOST = 0.25  # of a request's time that is kept for the answer at most
CHOOSING = 0.02  # of a request's time that is kept for choosing among what is there, and for sending it
MOST_CHOOSING = 1.0  # seconds


class Times:
    """Seconds that the calls of one request took, waits included. For many threads.

    Args:
        before: what a call usually took in the request before, without waits, if that is known.

    """

    def __init__(self, before: float | None = None) -> None:
        self._lock = threading.Lock()
        self._before = before
        self._seen: list[float] = []

    def add(self, seconds: float) -> None:
        """Remember a call that was answered."""
        with self._lock:
            self._seen.append(seconds)

    @property
    def longest(self) -> float | None:
        """Of this request's calls; None before the first."""
        with self._lock:
            return max(self._seen, default=None)

    @property
    def usual(self) -> float | None:
        """Of half of this request's calls no more; before the first, of earlier requests', if that is known."""
        with self._lock:
            return statistics.median(self._seen) if self._seen else self._before


def kept_for_choosing(seconds: float) -> float:
    """Seconds that every step leaves, of a request's so many: what is there is chosen among in them, and sent."""
    return 0.0 if math.isinf(seconds) else min(MOST_CHOOSING, CHOOSING * seconds)


def kept_for_answer(seconds: float, longest: float | None) -> float:
    """Seconds that the steps before an answer leave for one more call.

    Args:
        seconds: that the whole request has.
        longest: seconds of its longest call so far, if there was one.

    """
    if math.isinf(seconds):
        return 0.0
    wanted = UNKNOWN * seconds if longest is None else MARGIN * longest
    return min(wanted, MOST * seconds) + kept_for_choosing(seconds)
