"""Log of all calls that reached the simulator, so that tests can compare a client's reports with its calls."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NO_ANSWER = 0
"""Status of a call whose connection the simulator closed without a reply."""

CLIENT_GONE = 499
"""Status of a call whose client disconnected before the reply."""


@dataclass(frozen=True)
class Call:
    """One call. `status` and `ended` are None while it runs.

    Times are the clock's, in real seconds. `headers` have lower-case names and no Authorization value. `code` is that
    of an error. `admission_tokens` is the charge against the rate limits, 0 for refused calls, and `cached_tokens` are
    those of the prompt that the cache had. `tier` is the service tier that admitted the call. `in_flight` counts the
    calls running when this one began, including itself if it was admitted. `connection` numbers the TCP connections.
    `label` is the one that the responder gave its answer.
    """

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    connection: int
    started: float
    in_flight: int
    body: Any = None
    status: int | None = None
    code: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    admission_tokens: int = 0
    cached_tokens: int = 0
    tier: str = ""
    admitted: bool = False
    ended: float | None = None
    label: str = ""


@dataclass(frozen=True)
class Totals:
    """Token sums of the recorded calls."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    admission_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output tokens."""
        return self.prompt_tokens + self.completion_tokens


class CallLog:
    """Records calls. Thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._calls: dict[int, Call] = {}
        self._next = 1
        self._running: set[int] = set()
        self._peak = 0
        self._warmings = 0

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls in order of arrival, including running ones, without the SDK's warm-up requests."""
        with self._lock:
            return tuple(self._calls.values())

    @property
    def in_flight(self) -> int:
        """Number of admitted calls that are running."""
        with self._lock:
            return len(self._running)

    @property
    def peak_in_flight(self) -> int:
        """Largest number of admitted calls that ran at the same time."""
        with self._lock:
            return self._peak

    @property
    def warmings(self) -> int:
        """Number of requests to the SDK's warm-up path."""
        with self._lock:
            return self._warmings

    @property
    def connections(self) -> int:
        """Number of distinct TCP connections of the recorded calls."""
        return len({call.connection for call in self.calls})

    @property
    def totals(self) -> Totals:
        """Token sums of the recorded calls."""
        calls = self.calls
        return Totals(
            prompt_tokens=sum(call.prompt_tokens for call in calls),
            completion_tokens=sum(call.completion_tokens for call in calls),
            admission_tokens=sum(call.admission_tokens for call in calls),
        )

    def open(self, method: str, path: str, headers: Mapping[str, str], connection: int) -> int:
        """Record a call that arrived, and return its number."""
        recorded = {name.lower(): value for name, value in headers.items()}
        if "authorization" in recorded:
            recorded["authorization"] = "(not recorded)"
        with self._lock:
            number = self._next
            self._next += 1
            self._calls[number] = Call(
                number, method, path, recorded, connection, started=self._clock(), in_flight=len(self._running)
            )
            return number

    def find(self, number: int) -> Call | None:
        """Return a call; None if it was deleted."""
        with self._lock:
            return self._calls.get(number)

    def amend(self, number: int, **changes: Any) -> None:
        """Set fields of a call."""
        with self._lock:
            if number in self._calls:
                self._calls[number] = dataclasses.replace(self._calls[number], **changes)

    def admit(self, number: int, tokens: int, cached: int = 0, tier: str = "default") -> None:
        """Mark a call as admitted and running, and record its charge, its cached tokens and its service tier."""
        with self._lock:
            self._running.add(number)
            running = len(self._running)
            self._peak = max(self._peak, running)
        changes = {"admission_tokens": tokens, "cached_tokens": cached, "tier": tier, "in_flight": running}
        self.amend(number, admitted=True, **changes)

    def close(self, number: int, status: int, code: str = "") -> None:
        """End a call; only the first end is recorded."""
        with self._lock:
            self._running.discard(number)
            call = self._calls.get(number)
            if call is not None and call.ended is None:
                self._calls[number] = dataclasses.replace(call, status=status, code=code, ended=self._clock())

    def count_warming(self) -> None:
        """Count a request to the SDK's warm-up path."""
        with self._lock:
            self._warmings += 1

    def clear(self) -> int:
        """Delete all calls, reset the peak, and return the number of deleted calls."""
        with self._lock:
            deleted = len(self._calls)
            self._calls.clear()
            self._peak = len(self._running)
            self._warmings = 0
            return deleted

    def export(self) -> dict[str, Any]:
        """Return everything as JSON values, for `GET /simulator/calls`."""
        totals = self.totals
        return {
            "calls": [dataclasses.asdict(call) for call in self.calls],
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "connections": self.connections,
            "warmings": self.warmings,
            "usage": {**dataclasses.asdict(totals), "total_tokens": totals.total_tokens},
        }
