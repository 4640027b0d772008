"""Waiting for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

There = TypeVar("There")

PATIENCE = 120.0
"""Seconds after which a wait has failed: a safety net, many times what a machine under load takes."""


def until(there: Callable[[], There], otherwise: Callable[[], object] = lambda: "it never was") -> There:
    """Return what is there as soon as it is; fail with what `otherwise` says when it never comes."""
    end = time.monotonic() + PATIENCE
    while not (found := there()):
        assert time.monotonic() < end, otherwise()
        time.sleep(0.005)
    return found
