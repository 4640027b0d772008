"""Where traces are stored: the interface, and a store in memory."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from optillm_cerebras_cepo.trace.folder import bounded_json

MOST_TRACES = 50
MOST_BYTES = 32 * 2**20  # of all traces; the oldest are dropped


class TraceStore(Protocol):
    """Traces by time, such as a TraceFolder. Safe for many threads."""

    def write(self, trace: Mapping[str, Any]) -> None:
        """Store a trace. A failure is logged: no answer depends on it."""

    def latest(self) -> Iterator[dict[str, Any]]:
        """Yield the traces, the latest first."""

    def get(self, trace_id: str) -> dict[str, Any] | None:
        """Return the trace with this id, if there is one."""


class _Stored(NamedTuple):
    id: str
    text: bytes  # JSON: it takes less memory than what it describes, and cannot be changed


class MemoryTraces:
    """The latest traces of this process."""

    def __init__(self, most: int = MOST_TRACES, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._stored: deque[_Stored] = deque()  # the latest first

    def write(self, trace: Mapping[str, Any]) -> None:
        """Store a trace, and drop the oldest ones beyond the limits."""
        text = bounded_json(trace).encode()
        with self._lock:
            self._stored.appendleft(_Stored(trace["id"], text))
            self._bytes += len(text)
            while len(self._stored) > self._most or self._bytes > self._most_bytes:
                self._bytes -= len(self._stored.pop().text)

    def latest(self) -> Iterator[dict[str, Any]]:
        """Yield the traces, the latest first."""
        return (json.loads(stored.text) for stored in self._snapshot())

    def get(self, trace_id: str) -> dict[str, Any] | None:
        """Return the trace with this id, if there is one."""
        return next((json.loads(stored.text) for stored in self._snapshot() if stored.id == trace_id), None)

    def _snapshot(self) -> list[_Stored]:
        with self._lock:
            return list(self._stored)
