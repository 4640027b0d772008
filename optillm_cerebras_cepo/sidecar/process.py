"""What the sidecar needs of its process: stop signals and open files."""

from __future__ import annotations

import resource
import select
import signal
import socket
from types import FrameType

from optillm_cerebras_cepo.core.errors import BadConfiguration


class StopSignal:
    """SIGTERM and SIGINT, from the creation of this object on. The second one raises KeyboardInterrupt.

    The kernel may deliver a signal to any thread, but Python runs the handler in the main thread, as soon as that wakes
    up. A lock or an event does not wake it then; the socket does, to which Python writes on every signal.
    """

    def __init__(self) -> None:
        self._received = False
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        # Without a handler, process 1 of a container ignores SIGTERM.
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)

    def wait(self) -> None:
        """Block until the first signal or `send`."""
        while not self._received:
            select.select([self._reader], [], [])
            self._reader.recv(64)

    def send(self) -> None:
        """End `wait`, as a signal does. Thread-safe."""
        self._received = True
        self._writer.send(b"\0")

    def _handle(self, _: int, __: FrameType | None) -> None:
        if self._received:
            raise KeyboardInterrupt
        self._received = True


WANTED_FILES = 4096
OWN_FILES = 64  # listening sockets, logs, the algebra worker, Redis, DNS: about 10 when idle
MAX_API_CONNECTIONS = 100  # the SDK's own limit
MIN_CONNECTIONS = 16  # of clients, and of the API


def raise_file_limit() -> int:
    """Raise this process's limit of open files to WANTED_FILES, as far as the system allows. Return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = WANTED_FILES if hard == resource.RLIM_INFINITY else min(WANTED_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= highest:
        return WANTED_FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
    return highest


def divide_files(files: int, clients: int) -> tuple[int, int]:
    """Return how many connections of clients (at most `clients`) and of the API may be open with so many files.

    Raise BadConfiguration if there are not enough files.
    """
    left = files - OWN_FILES
    if left < 2 * MIN_CONNECTIONS:
        needed = OWN_FILES + 2 * MIN_CONNECTIONS
        raise BadConfiguration(
            f"The limit of open files is {files}, at least {needed} are needed; raise it (ulimit -n)."
        )
    api = min(MAX_API_CONNECTIONS, left // 2)
    return min(clients, left - api), api
