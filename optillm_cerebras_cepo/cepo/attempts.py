"""Which attempts at a plan may run: as many as are still wanted, and a further one only when one was rejected."""

from __future__ import annotations

import threading


class Attempts:
    """One candidate's attempts.

    OptiLLM starts all `planning_m` at once and waits for all (cepo.py:445), though it uses `planning_n`. Each of its
    threads stops here until its attempt is needed, or is told that it no longer is.

    Args:
        wanted: how many accepted attempts the candidate needs.

    """

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._running = 0
        self._accepted = 0
        self._changed = threading.Condition()

    def begin(self) -> bool:
        """Wait for this attempt's turn. False: enough others were accepted, it is not needed."""
        with self._changed:
            # OptiLLM's defect: all_attempts_start_at_once
            self._changed.wait_for(lambda: self._running + self._accepted < self._wanted or self._enough)
            if self._enough:
                return False
            self._running += 1
            return True

    def settle(self, accepted: bool) -> None:
        """End an attempt that had begun."""
        with self._changed:
            self._running -= 1
            self._accepted += accepted
            self._changed.notify_all()

    def abandon(self) -> None:
        """Need no further attempt: the candidate is lost."""
        with self._changed:
            self._accepted = self._wanted
            self._changed.notify_all()

    @property
    def _enough(self) -> bool:
        return self._accepted >= self._wanted
