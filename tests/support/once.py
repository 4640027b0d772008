"""What a test does in the middle of a call that it waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def once(holds: Callable[[], bool], act: Callable[[], object]) -> None:
    """Call `act` on a thread of its own, as soon as it holds."""

    def wait() -> None:
        while not holds():
            time.sleep(0.005)
        act()

    threading.Thread(target=wait, daemon=True).start()
