"""Several processes that call one API with one key."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from conftest import KEY

PROGRAM = Path(__file__).with_name("replica.py")


@dataclass(frozen=True)
class Told:
    """What one process said at its end.

    Attributes:
        answered: requests.
        longest: seconds that one of these took.
        errors: of the requests that were not answered.
        log: level and message of what it logged.
        redis: whether Redis' client was imported.

    """

    answered: int
    longest: float
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
def replicas(
    url: str, count: int = 4, *, scale: float, clients: int, key: str = KEY, **settings: Any
) -> Iterator[Replicas]:
    """Let processes ask one question after the other while the block runs; requests under way are waited for.

    Args:
        url: the API's.
        count: of processes.
        scale: so many of the API's seconds pass in a real one.
        clients: of each process, that ask at a time.
        key: the API's.
        settings: what they ask with.

    """
    asked = {"url": url, "scale": scale, "clients": clients, "key": key, "settings": settings}
    command = [sys.executable, str(PROGRAM), json.dumps(asked)]
    pipe = subprocess.PIPE
    running = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(count)]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        ours = Replicas(time.monotonic())
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        yield ours
        ours.seconds = time.monotonic() - ours.began
        for process in running:
            assert process.stdin is not None
            process.stdin.close()
        for process in running:
            assert process.stdout is not None
            ours.told.append(Told(**json.loads(process.stdout.readline())))
    finally:
        for process in running:
            process.kill()
            process.communicate() if process.stdin and not process.stdin.closed else process.wait()
