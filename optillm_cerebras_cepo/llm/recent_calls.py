"""What recent calls took, by kind of call: the tokens of their replies, or their seconds."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque

from optillm_cerebras_cepo.core.chat import Label, Step

WINDOW = 200  # remembered calls of each kind
KINDS = 500  # remembered kinds: clients create them, so their number is bounded


class RecentCalls:
    """A number for each recent call, by model, step and `Label.kind`. Safe for many threads.

    Beyond `KINDS` kinds, the kind whose last call is the oldest is forgotten.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: OrderedDict[tuple[str, Step, str], deque[float]] = OrderedDict()

    def record(self, model: str, label: Label, value: float) -> None:
        """Remember a call's number."""
        kind = (model, label.step, label.kind)
        with self._lock:
            self._values.setdefault(kind, deque(maxlen=WINDOW)).append(value)
            self._values.move_to_end(kind)
            if len(self._values) > KINDS:
                self._values.popitem(last=False)

    def of(self, model: str, label: Label) -> tuple[float, ...]:
        """Return the numbers of recent calls of this kind, in order."""
        with self._lock:
            return tuple(self._values.get((model, label.step, label.kind), ()))
