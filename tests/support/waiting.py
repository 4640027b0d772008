"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

There = TypeVar("There")


def until(
    there: Callable[[], There], seconds: float = 60.0, otherwise: Callable[[], str] = lambda: "it never was"
) -> There:
    """Return what is there, once it is; fail with a word when it is not for so many seconds."""
    end = time.monotonic() + seconds
    while not (found := there()):
        assert time.monotonic() < end, otherwise()
        time.sleep(0.01)
    return found
