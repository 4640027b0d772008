"""What a request keeps book of while many threads work on it: what was left out, and how often each step was asked."""

from __future__ import annotations

import threading
from collections import Counter

from optillm_cerebras_cepo.chat import Label


class Notes:
    """What a request had to leave out, each thing once, in the order in which it came up. For many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, None] = {}

    def add(self, *lines: str) -> None:
        """Note these; what stands already is not noted twice."""
        with self._lock:
            self._lines.update(dict.fromkeys(lines))

    @property
    def lines(self) -> tuple[str, ...]:
        """All notes so far."""
        with self._lock:
            return tuple(self._lines)


class Counts:
    """How many calls each candidate made of each step, so that equal prompts get unequal seeds. For many threads."""

    PER_CANDIDATE = 1000  # more calls of one step no candidate makes

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Counter[Label] = Counter()

    def seed_offset(self, label: Label) -> int:
        """A number that no other call of this step gets; the same in every run that calls in the same order."""
        with self._lock:
            self._made[label] += 1
            return self.PER_CANDIDATE * label.candidate + self._made[label] - 1
