"""A process's memory, threads, file descriptors and sockets, read from Linux's /proc."""

from __future__ import annotations

import os
from dataclasses import astuple, dataclass, fields
from pathlib import Path

MEBI = 2**20


@dataclass(frozen=True)
class Resources:
    """One measurement. `memory` is the resident set in MiB; sockets are TCP connections in any state."""

    memory: float
    threads: float
    files: float
    api_sockets: float
    client_sockets: float
    children: float


NAMES = [field.name for field in fields(Resources)]


def look(pid: int, own_port: int, api_port: int) -> Resources:
    """Look at a process that serves at one port and calls another.

    Raises:
        OSError: there is no such process (any more).

    """
    root = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (root / "status").read_text().splitlines())
    inodes = _inodes(root)
    ends = [(local, remote) for inode, local, remote in _connections(root) if inode in inodes and remote]
    return Resources(
        memory=int(status["VmRSS"].split()[0]) * 1024 / MEBI,
        threads=int(status["Threads"]),
        files=len(os.listdir(root / "fd")),
        api_sockets=sum(remote == api_port for _, remote in ends),
        client_sockets=sum(local == own_port for local, _ in ends),
        children=len([child for task in (root / "task").iterdir() for child in _children(task)]),
    )


def _children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except OSError:  # the thread has ended
        return []


def _inodes(root: Path) -> set[str]:
    """Return the inodes of its open sockets; one may be closed meanwhile."""
    found = set()
    for file in (root / "fd").iterdir():
        try:
            target = os.readlink(file)
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def _connections(root: Path) -> list[tuple[str, int, int]]:
    """Return inode, local port and remote port (0 if listening) of every TCP socket of the machine."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in (root / "net" / name).read_text().splitlines()[1:]]
    return [(row[9], int(row[1].rpartition(":")[2], 16), int(row[2].rpartition(":")[2], 16)) for row in rows]


def maxima(looks: list[Resources]) -> Resources:
    """Return the maximum of each."""
    return Resources(*map(max, zip(*map(astuple, looks), strict=True)))


def means(looks: list[Resources]) -> Resources:
    """Return the mean of each."""
    return Resources(*(sum(values) / len(looks) for values in zip(*map(astuple, looks), strict=True)))
