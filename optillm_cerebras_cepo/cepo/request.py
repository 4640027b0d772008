"""One request, and what its threads note while they work on it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

from optillm_cerebras_cepo.cepo.timing import CallTimes
from optillm_cerebras_cepo.core.chat import Label, Parameters, Question
from optillm_cerebras_cepo.core.events import Observer, ignore
from optillm_cerebras_cepo.response_format import RequestedFormat
from optillm_cerebras_cepo.settings.declaration import Settings


@dataclass(frozen=True)
class CepoRequest:
    """A question, what the client wants of its answer, and the settings to answer it with."""

    question: Question
    settings: Settings
    parameters: Parameters = field(default_factory=Parameters)
    response_format: RequestedFormat | None = None


class Notes:
    """Lines without duplicates, in the order in which they were added. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[str, None] = {}

    def add(self, *lines: str) -> None:
        """Add lines; skip those that are there already."""
        with self._lock:
            self._lines.update(dict.fromkeys(lines))

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines so far."""
        with self._lock:
            return tuple(self._lines)


class SeedOffsets:
    """Offsets that give equal prompts different seeds: calls counted by candidate and step. Thread-safe."""

    PER_CANDIDATE = 1000  # no candidate makes more calls of one step

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Counter[Label] = Counter()

    def next(self, label: Label) -> int:
        """Return an offset that no other call of this step gets. The same order of calls gives the same offsets."""
        with self._lock:
            self._made[label] += 1
            return self.PER_CANDIDATE * label.candidate + self._made[label] - 1


@dataclass(frozen=True)
class RequestTracker:
    """What is noted of a request while it runs; shared by all of its threads.

    Attributes:
        observer: receives progress events.
        degraded: what failed and was left out.
        fitted: what of a call was changed to suit the model.
        call_times: durations of the answered calls.
        seed_offsets: calls by candidate and step.

    """

    observer: Observer = ignore
    degraded: Notes = field(default_factory=Notes)
    fitted: Notes = field(default_factory=Notes)
    call_times: CallTimes = field(default_factory=CallTimes)
    seed_offsets: SeedOffsets = field(default_factory=SeedOffsets)
