"""Letting held replies go while a test waits for what comes of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from optillm_cerebras_cepo.simulator import Simulator


@contextmanager
def releasing(api: Simulator) -> Iterator[None]:
    """Release every held reply as long as the block runs, and hold those after it."""
    over = threading.Event()

    def release() -> None:
        while not over.wait(0.005):
            if held := api.held:
                api.release(held)

    thread = threading.Thread(target=release)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def released_at_the_end(api: Simulator) -> Iterator[None]:
    """Release every held reply when the block ends, however it ends: threads that wait for one would never end."""
    try:
        yield
    finally:
        api.release()
