"""The simulated API, in a process of its own: its work is not counted as ours."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import web

LEDGER = "/simulator/calls"


@dataclass(frozen=True)
class Call:
    """A chat call as the simulator saw it. Times are its clock's, in seconds; `kind` is what it took the call for."""

    kind: str
    status: int
    started: float
    ended: float
    completion_tokens: int
    admission_tokens: int


@dataclass(frozen=True)
class Api:
    """A running simulated API."""

    url: str

    def calls(self) -> list[Call]:
        """Every chat call since the last `clear`, in the order of arrival; those that still run are left out."""
        seen = web.get(self.url + LEDGER).json()["calls"]
        names = Call.__dataclass_fields__
        return [
            Call(**{name: call[name] for name in names})
            for call in seen
            if call["path"].endswith("/chat/completions") and call["ended"] is not None
        ]

    def clear(self) -> None:
        """Forget the calls so far."""
        web.delete(self.url + LEDGER)


@contextmanager
def simulated(*options: str, seconds: float = 0.0, rating: float = 1.0, sigma: float = 0.0) -> Iterator[Api]:
    """Run `cepo-cerebras simulate` while the block runs, with replies of 400 tokens from its statistical mode.

    Args:
        options: further options of the command.
        seconds: how long a call with a reply of 400 tokens takes; shorter replies take less.
        rating: how long ratings are, as a share of the other replies.
        sigma: how much the lengths vary (the logarithm's standard deviation).

    """
    command = [str(Path(sys.executable).with_name("cepo-cerebras")), "simulate", "--port", "0", "--statistical"]
    command += ["--reply-tokens", f"rating={400 * rating:g},sigma={sigma:g}", *options]
    if seconds:
        command += ["--tokens-per-second", f"{400 / seconds:g}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulated API did not start: {json.dumps(command)}")
        yield Api(line.split(": ", 1)[1].strip())
    finally:
        process.terminate()
        process.wait(10)
