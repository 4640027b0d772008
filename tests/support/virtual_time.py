"""A clock for one thread, whose seconds pass when it sleeps: a minute of waiting takes no time on any machine."""

from __future__ import annotations

import threading

from optillm_cerebras_cepo.core.deadline import Deadline

ENDLESS = 10_000
"""Sleeps after which a test ends, for nothing else would end it: its seconds may have become too short to count."""


class VirtualTime:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleeps = 0

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, event: threading.Event, seconds: float) -> bool:
        """Let the seconds pass, unless the event has happened already."""
        self._sleeps += 1
        assert self._sleeps < ENDLESS, f"still waiting, for {seconds} s, at {self.now} s"
        if not event.is_set():
            self.now += seconds
        return event.is_set()

    def deadline(self, seconds: float) -> Deadline:
        """Return a deadline of this clock."""
        return Deadline(seconds, self, self.sleep)
