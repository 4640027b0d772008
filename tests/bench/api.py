"""The simulated API in its own process, so that its processor time is not counted as ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support import web

CALL_LOG = "/simulator/calls"
TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Call:
    """A chat call in the simulator's log. Times are in seconds of its clock; `label` is the kind of call."""

    label: str
    status: int
    started: float
    ended: float
    completion_tokens: int
    admission_tokens: int
    cached_tokens: int


@dataclass(frozen=True)
class Api:
    """A running simulated API."""

    url: str

    def calls(self) -> list[Call]:
        """Return the finished chat calls since the last `clear`, in order of arrival."""
        calls = web.get(self.url + CALL_LOG).json()["calls"]
        names = Call.__dataclass_fields__
        return [
            Call(**{name: call[name] for name in names})
            for call in calls
            if call["path"].endswith("/chat/completions") and call["ended"] is not None
        ]

    def clear(self) -> None:
        """Delete the calls so far."""
        web.delete(self.url + CALL_LOG)


@contextmanager
def simulated(*options: str, seconds: float = 0.0, rating: float = 1.0, sigma: float = 0.0) -> Iterator[Api]:
    """Run the simulated API within the block, with a statistical model whose replies have 400 tokens on average.

    Args:
        options: further options of `cepo-cerebras simulate`.
        seconds: duration of a call with a reply of 400 tokens; shorter replies take proportionally less.
        rating: mean length of ratings, as a fraction of the other replies.
        sigma: standard deviation of the logarithm of the lengths.

    """
    command = [sys.executable, "-m", "statistical_model", f"--rating-tokens={400 * rating:g}", f"--sigma={sigma:g}"]
    command += options
    if seconds:
        command.append(f"--tokens-per-second={400 / seconds:g}")
    environ = os.environ | {"PYTHONPATH": str(TESTS)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"the simulated API did not start: {' '.join(command)}")
        yield Api(url)
    finally:
        process.terminate()
        process.wait(10)
