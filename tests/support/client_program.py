"""A program of a client library at work: what it is to do, what it reports, and when it goes on."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import Any

SECONDS = 120
"""What a program may need for one report: a large library alone takes some seconds to load."""


class Program:
    """A running program, started by a command; its reports are lines of JSON on its standard output."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        ours = ("OPENAI_", "CEREBRAS_", "CEPO_", "PYTHON")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=environ, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        self._lines: Queue[str] = Queue()
        self._log: list[str] = []
        self._readers = [
            threading.Thread(target=_read, args=(self._process.stdout, self._lines.put), daemon=True),
            threading.Thread(target=_read, args=(self._process.stderr, self._log.append), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def begin(self, scenario: str, url: str) -> None:
        """Let it run a scenario before the server at this address."""
        self._say(f"{scenario} {url}")

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
        self._say("")

    def over(self, scenario: str) -> None:
        """Wait until the scenario has ended, and well."""
        assert self.report() == {"over": scenario}

    def kill(self) -> None:
        """End it, whatever it does."""
        with self._process:
            self._process.kill()
            for reader in self._readers:
                reader.join(5)

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()


def _read(stream: Any, into: Any) -> None:
    for line in stream:
        into(line)
    into("")
