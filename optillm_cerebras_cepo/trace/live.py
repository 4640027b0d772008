"""Rebuild a trace from the entries of a live trace, while the request runs and when it has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from optillm_cerebras_cepo.trace.recorder import VERSION


class LiveTrace:
    """The entries of one request so far. One thread may add entries while another one reads.

    Args:
        clock: returns seconds; the request begins now.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._ended: float | None = None
        self._lock = threading.Lock()
        self._calls: dict[int, dict[str, Any]] = {}
        self.waits: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []

    def add(self, entries: Mapping[str, Mapping[str, Any]]) -> None:
        """Add entries, by the name of their list; a call replaces its earlier entry. Unknown lists are left out."""
        for name, entry in entries.items():
            if name == "calls":
                with self._lock:
                    if not self._calls:  # the request began earlier than its first entry, and later than this object
                        self._began = self._clock() - entry["started"]
                    self._calls[entry["number"]] = dict(entry)
                    if entry.get("made") is False:
                        del self._calls[entry["number"]]
            elif name in ("waits", "events"):
                getattr(self, name).append(dict(entry))

    def end(self) -> None:
        """Stop the clock: the request has ended."""
        self._ended = self.seconds

    @property
    def seconds(self) -> float:
        """Seconds since the beginning of the request, up to its end."""
        return self._clock() - self._began if self._ended is None else self._ended

    @property
    def calls(self) -> list[dict[str, Any]]:
        """All calls by their beginning; one without `seconds` is running."""
        with self._lock:
            calls = list(self._calls.values())
        return sorted(calls, key=lambda call: (call["started"], call["number"]))

    @property
    def waiting(self) -> list[dict[str, Any]]:
        """The waits that have not passed yet."""
        now = self.seconds
        return [wait for wait in self.waits if wait["started"] + wait["seconds"] > now] if self._ended is None else []

    @property
    def spent(self) -> dict[str, int]:
        """Calls that were begun, and the tokens of those that were answered."""
        calls = self.calls
        names = ("prompt_tokens", "completion_tokens")
        return {"calls": len(calls), **{name: sum(call.get(name) or 0 for call in calls) for name in names}}

    def finished(self, status: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the whole trace, without a time of day: of the calls that have ended.

        Args:
            status: of the response.
            body: its `error`, or its `cepo_cerebras` object.

        """
        calls = [call for call in self.calls if "seconds" in call]
        head = {"version": VERSION, "id": "live", "started": "", "seconds": round(self.seconds, 4), "status": status}
        return {**head, **body, "calls": calls, "waits": self.waits, "events": self.events}
