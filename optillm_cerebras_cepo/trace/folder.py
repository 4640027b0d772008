"""The folder with the traces: one JSON file a request, bounded in number and size."""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MOST_FILES = 1_000  # of a folder; the oldest are deleted
MOST_BYTES = 4 * 2**20  # of a file; a larger trace loses its texts
TEXTS = ("messages", "text", "reasoning")  # of a call
NAME = re.compile(r"\d{8}T\d{9}Z-([0-9a-f]{12})\.json")

logger = logging.getLogger("optillm_cerebras_cepo")


def bounded_json(trace: Mapping[str, Any]) -> str:
    """Return a trace as JSON, without its texts if it is larger than MOST_BYTES."""
    text = json.dumps(trace)
    if len(text) <= MOST_BYTES:
        return text
    calls = [{name: value for name, value in call.items() if name not in TEXTS} for call in trace["calls"]]
    return json.dumps({**trace, "calls": calls})


class TraceFolder:
    """Traces in a folder, by time. Safe for many threads and processes."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def write(self, trace: Mapping[str, Any]) -> None:
        """Write a trace, and delete the oldest ones beyond MOST_FILES. A failure is logged: no answer depends on it."""
        try:
            self._write(trace)
        except OSError as error:
            reason = type(error).__name__
            logger.warning("cepo_cerebras: a trace cannot be written to the folder of traces (%s)", reason)

    def _write(self, trace: Mapping[str, Any]) -> None:
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = bounded_json(trace)
        started = re.sub(r"[-:.]", "", trace["started"])
        target = self._path / f"{started}-{trace['id']}.json"
        partial = target.with_suffix(".partial")
        # Readable for its owner only: it may have the texts of a client.
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        partial.replace(target)
        for old in self._names()[MOST_FILES:]:
            (self._path / old).unlink(missing_ok=True)  # another process may have been faster

    def latest(self) -> Iterator[dict[str, Any]]:
        """Yield the traces, the latest first; a file that cannot be read is left out."""
        for name in self._names():
            if (trace := self._read(name)) is not None:
                yield trace

    def find(self, wanted: str) -> list[dict[str, Any]]:
        """Return the traces whose id begins like this, or whose request has this id; the latest first.

        `last` is the latest.
        """
        if wanted == "last":
            return list(itertools.islice(self.latest(), 1))
        begins = [name for name in self._names() if (match := NAME.fullmatch(name)) and match[1].startswith(wanted)]
        if found := [trace for name in begins if (trace := self._read(name)) is not None]:
            return found
        return [trace for trace in self.latest() if trace.get("request_id") == wanted]

    def get(self, trace_id: str) -> dict[str, Any] | None:
        """Return the trace with this id, if there is one."""
        names = (name for name in self._names() if (match := NAME.fullmatch(name)) and match[1] == trace_id)
        return next(filter(None, map(self._read, names)), None)

    def _names(self) -> list[str]:
        """Return the names of the files, the latest first."""
        try:
            return sorted(filter(NAME.fullmatch, os.listdir(self._path)), reverse=True)
        except OSError:
            return []

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            trace = json.loads((self._path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return trace if isinstance(trace, dict) and trace.get("version") == 1 else None
