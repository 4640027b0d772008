"""Several processes that call one API with one key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    """Running processes.

    Attributes:
        began: when they were let go, in this machine's monotonic seconds.
        seconds: from then until they began no further request.
        logged: level and message of what they have logged so far.
        told: what each said at its end.

    """

    began: float = 0.0
    seconds: float = 0.0
    logged: list[list[str]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    def heard(self, line: str) -> None:
        """Take in a piece of news."""
        news = json.loads(line)
        if "logged" in news:
            self.logged.append(news["logged"])
        else:
            self.told.append(Told(**news))


@contextmanager
def replicas(
    url: str,
    count: int = 4,
    *,
    scale: float,
    clients: int,
    until_refused: bool = False,
    patience: float = 0.0,
    **settings: Any,
) -> Iterator[Replicas]:
    """Let processes ask one question after the other while the block runs; requests under way are waited for.

    Args:
        url: the API's.
        count: of processes.
        scale: so many of the API's seconds pass in a real one.
        clients: of each process, that ask at a time.
        until_refused: whether a client ends with its first request that is not answered.
        patience: seconds that an answer of Redis may take; 0 for what is set in `llm/rate_limits/redis_store.py`.
        settings: what they ask with.

    """
    asked = {"url": url, "key": KEY, "count": count, "scale": scale, "clients": clients, "settings": settings}
    command = [sys.executable, str(PROGRAM), json.dumps(asked | {"until_refused": until_refused, "patience": patience})]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        try:
            assert running.stdout.readline() == "ready\n"
            ours = Replicas(time.monotonic())
            print("go", file=running.stdin, flush=True)
            reader = threading.Thread(target=lambda: [ours.heard(line) for line in running.stdout or ()], daemon=True)
            reader.start()
            yield ours
            ours.seconds = time.monotonic() - ours.began
            running.stdin.close()
            reader.join()
            assert len(ours.told) == count, "not all of them came to an end"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)  # with its forks
