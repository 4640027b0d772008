"""Ports for the servers that tests start, and one on which nobody listens."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from optillm_cerebras_cepo.demo.child_process import PORTS

CHANCE = random.SystemRandom()  # that nobody seeds: other processes draw other ports
LOCKS = Path(tempfile.gettempdir()) / f"cepo-cerebras-test-ports-{os.getuid()}"
_taken: list[IO[str]] = []  # open files, whose locks end with this process


def free_port() -> int:
    """Return a port that nobody listens on, and that no other test process on this machine is given meanwhile.

    It lies below the ports that a system gives away by itself: whoever asks the system for any port, and each
    connection, may get one of those in the next moment. It also lies below those of the demo.
    """
    LOCKS.mkdir(exist_ok=True)
    while True:
        port = CHANCE.randrange(16_384, PORTS.start)
        lock = (LOCKS / str(port)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _taken.append(lock)
        return port


@contextmanager
def nobody_listens() -> Iterator[str]:
    """Yield a base URL at which connections are refused, now and as long as the block runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # taken, so that nobody else can listen there
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
