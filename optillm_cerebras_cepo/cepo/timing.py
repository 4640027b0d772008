"""Durations of a request's calls, and the time that each step leaves for later steps."""

from __future__ import annotations

import math
import statistics
import threading

MARGIN = 1.25  # of the longest call: the next may be longer
UNKNOWN = 0.1  # share of a request's time that is kept for the answer before the first call is finished
MOST = 0.25  # share of a request's time that is kept for the answer at most
CHOOSING = 0.02  # share of a request's time that is kept for choosing an answer and sending it
MOST_CHOOSING = 1.0  # seconds


class CallTimes:
    """Durations in seconds of one request's calls, waits included. Thread-safe.

    Args:
        before: median duration in the previous request, without waits; None if it is not known.

    """

    def __init__(self, before: float | None = None) -> None:
        self._lock = threading.Lock()
        self._before = before
        self._seen: list[float] = []

    def add(self, seconds: float) -> None:
        """Add the duration of an answered call."""
        with self._lock:
            self._seen.append(seconds)

    @property
    def longest(self) -> float | None:
        """Longest duration; None before the first call."""
        with self._lock:
            return max(self._seen, default=None)

    @property
    def usual(self) -> float | None:
        """Median duration of this request's calls; before the first call, that of the previous request, or None."""
        with self._lock:
            return statistics.median(self._seen) if self._seen else self._before


def kept_for_choosing(seconds: float) -> float:
    """Return the seconds that each step leaves for choosing and sending; `seconds` are those of the whole request."""
    return 0.0 if math.isinf(seconds) else min(MOST_CHOOSING, CHOOSING * seconds)


def kept_for_answer(seconds: float, longest: float | None) -> float:
    """Return the seconds that the steps before the answer leave for one more call.

    Args:
        seconds: of the whole request.
        longest: duration of its longest call so far; None before the first.

    """
    if math.isinf(seconds):
        return 0.0
    wanted = UNKNOWN * seconds if longest is None else MARGIN * longest
    return min(wanted, MOST * seconds) + kept_for_choosing(seconds)
