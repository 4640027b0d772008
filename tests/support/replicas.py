"""Several processes that call one API with one key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("replica.py")
KEY = "csk-0123456789abcdef"


@dataclass(frozen=True)
class Told:
    """What one process said at its end.

    Attributes:
        answered: requests.
        errors: of the requests that were not answered.
        log: level and message of what it logged.
        redis: whether Redis' client was imported.

    """

    answered: int
    errors: list[str]
    log: list[list[str]]
    redis: bool


@dataclass
class Replicas:
    """Running processes; `told` is there after the block that runs them."""

    began: float = 0.0  # when they were let go, in this machine's monotonic seconds
    seconds: float = 0.0  # from then until they began no further request
    told: list[Told] = field(default_factory=list)


@contextmanager
def replicas(url: str, count: int = 4, *, scale: float, clients: int, **settings: Any) -> Iterator[Replicas]:
    """Let processes ask one question after the other while the block runs; requests under way are waited for.

    Args:
        url: the API's.
        count: of processes.
        scale: so many of the API's seconds pass in a real one.
        clients: of each process, that ask at a time.
        settings: what they ask with.

    """
    asked = {"url": url, "key": KEY, "count": count, "scale": scale, "clients": clients, "settings": settings}
    command = [sys.executable, str(PROGRAM), json.dumps(asked)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            assert running.stdout.readline() == "ready\n"
            ours = Replicas(time.monotonic())
            print("go", file=running.stdin, flush=True)
            yield ours
            ours.seconds = time.monotonic() - ours.began
            running.stdin.close()
            ours.told += [Told(**told) for told in json.loads(running.stdout.readline())]
        finally:
            os.killpg(running.pid, signal.SIGKILL)  # with its forks
