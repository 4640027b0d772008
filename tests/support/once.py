"""What a test does in the middle of a call that it waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from support.waiting import until


def once(holds: Callable[[], object], act: Callable[[], object]) -> None:
    """Call `act` on a thread of its own, as soon as it holds."""

    def wait() -> None:
        until(holds)
        act()

    threading.Thread(target=wait, daemon=True).start()
