"""SIGTERM and Ctrl-C, for a main thread that has nothing else to do than to wait for them."""

from __future__ import annotations

import select
import signal
import socket
from types import FrameType


class Signals:
    """Hears of both from its making on; a second one raises KeyboardInterrupt.

    The system may interrupt any thread for a signal, but Python's handler runs in the main thread alone, and not before
    that wakes up: a lock or an event does not wake it. A socket that the signal itself is written to does.
    """

    def __init__(self) -> None:
        self._told = False
        self._heard, self._wakes = socket.socketpair()
        self._wakes.setblocking(False)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        # Process 1 ignores a signal that nobody has asked for.
        signal.signal(signal.SIGTERM, self._tell)
        signal.signal(signal.SIGINT, self._tell)

    def wait(self) -> None:
        """Until the first."""
        while not self._told:
            select.select([self._heard], [], [])
            self._heard.recv(64)

    def wake(self) -> None:
        """End `wait` as a signal does. From any thread."""
        self._told = True
        self._wakes.send(b"\0")

    def _tell(self, _: int, __: FrameType | None) -> None:
        if self._told:
            raise KeyboardInterrupt
        self._told = True
