"""Processes by a mark in their environment, which their children inherit. Read from Linux's /proc."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path


def processes_with(mark: str) -> list[str]:
    """The running processes that have `mark` in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended, or is another user's
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def none_left_with(mark: str, seconds: float) -> bool:
    """Whether every process with `mark` ends within `seconds`."""
    deadline = time.monotonic() + seconds
    while processes_with(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
