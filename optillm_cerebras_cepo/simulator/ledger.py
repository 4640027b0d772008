"""The ledger: every call that reached the simulator, so that a test can compare what a client says with what it did."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

NO_ANSWER = 0
"""The status of a call whose connection the simulator dropped."""

CLIENT_GONE = 499
"""The status of a call whose client hung up before the answer."""


@dataclass(frozen=True)
class Call:
    """One call. `status` and `ended` are None while it runs.

    Times are the clock's, in real seconds. `headers` have lower-case names and no Authorization value. `code` is an
    error's. `admission_tokens` is what the rate limits were charged, refused calls cost nothing. `in_flight` counts the
    calls that ran when this one began, itself included if it was admitted. `connection` numbers the TCP connection.
    `kind` is the kind of call that the statistical mode answered it as.
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
    admitted: bool = False
    ended: float | None = None
    kind: str = ""


@dataclass(frozen=True)
class Totals:
    """Sums over the recorded calls, in tokens."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    admission_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.prompt_tokens + self.completion_tokens


class Ledger:
    """Records calls; safe to read from any thread."""

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
        """Every call, in the order of arrival; those still running too. The SDK's warm-up is not among them."""
        with self._lock:
            return tuple(self._calls.values())

    @property
    def in_flight(self) -> int:
        """Admitted calls that are running now."""
        with self._lock:
            return len(self._running)

    @property
    def peak_in_flight(self) -> int:
        """The most admitted calls that ran at one time."""
        with self._lock:
            return self._peak

    @property
    def warmings(self) -> int:
        """How often the SDK's warm-up path was asked."""
        with self._lock:
            return self._warmings

    @property
    def connections(self) -> int:
        """The distinct TCP connections that the recorded calls came over."""
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
        """Record a call that arrived; returns its number."""
        shown = {name.lower(): value for name, value in headers.items()}
        if "authorization" in shown:
            shown["authorization"] = "(not recorded)"
        with self._lock:
            number = self._next
            self._next += 1
            self._calls[number] = Call(
                number, method, path, shown, connection, started=self._clock(), in_flight=len(self._running)
            )
            return number

    def body_of(self, number: int) -> Any:
        """A call's parsed body, or None."""
        with self._lock:
            call = self._calls.get(number)
            return call.body if call is not None else None

    def amend(self, number: int, **changes: Any) -> None:
        """Add what became known about a call."""
        with self._lock:
            if number in self._calls:
                self._calls[number] = dataclasses.replace(self._calls[number], **changes)

    def admit(self, number: int, tokens: int) -> None:
        """Count an admitted call as running, and what it was charged."""
        with self._lock:
            self._running.add(number)
            running = len(self._running)
            self._peak = max(self._peak, running)
        self.amend(number, admitted=True, admission_tokens=tokens, in_flight=running)

    def close(self, number: int, status: int, code: str = "") -> None:
        """End a call; only the first ending counts."""
        with self._lock:
            self._running.discard(number)
            call = self._calls.get(number)
            if call is not None and call.ended is None:
                self._calls[number] = dataclasses.replace(call, status=status, code=code, ended=self._clock())

    def count_warming(self) -> None:
        """Count one question on the SDK's warm-up path."""
        with self._lock:
            self._warmings += 1

    def clear(self) -> int:
        """Forget every call and start the peak anew; returns how many calls were forgotten."""
        with self._lock:
            forgotten = len(self._calls)
            self._calls.clear()
            self._peak = len(self._running)
            self._warmings = 0
            return forgotten

    def export(self) -> dict[str, Any]:
        """All of it as JSON values, for `GET /simulator/calls`."""
        totals = self.totals
        return {
            "calls": [dataclasses.asdict(call) for call in self.calls],
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            "connections": self.connections,
            "warmings": self.warmings,
            "usage": {**dataclasses.asdict(totals), "total_tokens": totals.total_tokens},
        }
