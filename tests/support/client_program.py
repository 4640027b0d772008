"""A program of a client library at work: what it reports, and when it goes on."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import Any

SECONDS = 120
"""What a program may need for one report: a large library alone takes some seconds to load."""


class Program:
    """A running program; its reports are lines of JSON on its standard output."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: Queue[str] = Queue()
        self._log: list[str] = []
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            threading.Thread(target=_read, args=(process.stdout, self._lines.put), daemon=True),
            threading.Thread(target=_read, args=(process.stderr, self._log.append), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def report(self) -> dict[str, Any]:
        """Return the next report."""
        try:
            line = self._lines.get(timeout=SECONDS)
        except Empty:
            raise AssertionError(f"no report within {SECONDS} s\n{''.join(self._log)}") from None
        if not line:
            for reader in self._readers:
                reader.join(5)
            raise AssertionError(f"ended with {self._process.wait(5)} and no report\n{''.join(self._log)}")
        found: dict[str, Any] = json.loads(line)
        return found

    def go_on(self) -> None:
        """Let a program that waits go on."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Wait until the program has ended, and well."""
        status = self._process.wait(SECONDS)
        assert status == 0, f"ended with {status}\n{''.join(self._log)}"


@contextmanager
def running(command: Sequence[str | Path]) -> Iterator[Program]:
    """Start a program; it ends with the block."""
    ours = ("OPENAI_", "CEREBRAS_", "CEPO_", "PYTHON")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


def _read(stream: Any, into: Any) -> None:
    for line in stream:
        into(line)
    into("")
