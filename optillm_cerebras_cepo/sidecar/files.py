"""How many files the process may open, shared out among connections of clients, of the API, and all else."""

from __future__ import annotations

import resource
from dataclasses import dataclass

from optillm_cerebras_cepo.errors import BadConfiguration

WANTED = 4096  # that may be open at once, where the system lets us
OWN = 64  # for sockets that listen or wake, logs, the algebra's process, Redis, names that are looked up: 10 at rest
API = 100  # connections to the API, as many as the SDK's client keeps by itself
LEAST = 16  # connections of clients, and of the API


@dataclass(frozen=True)
class Shares:
    """Connections that may be open at once: of clients, and of the API."""

    clients: int
    api: int


def raise_limit() -> int:
    """Raise this process's limit of open files to WANTED, as far as the system lets us, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return WANTED if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def share_out(files: int, clients: int) -> Shares:
    """Return how many connections so many files are enough for.

    Args:
        files: the limit of open files.
        clients: connections of clients that are wanted.

    Raises:
        BadConfiguration: they are not enough to serve anybody.

    """
    left = files - OWN
    if left < 2 * LEAST:
        raise BadConfiguration(
            f"the limit of open files is {files}, and at least {OWN + 2 * LEAST} are needed; raise it (ulimit -n)"
        )
    api = min(API, left // 2)
    return Shares(min(clients, left - api), api)
