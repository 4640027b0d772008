"""Servers as child processes that cannot outlive this process.

A child exits when its standard input closes. The kernel closes it when the parent ends, even if the parent was killed.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

import httpx

LAST_LINES = 50  # lines of output to show after a failure
STOP_SECONDS = 5.0  # from SIGTERM to SIGKILL
PORTS = range(24_576, 32_768)  # below the ports that systems assign to connections: 32,768 (Linux), 49,152 (IANA)


class DemoError(Exception):
    """The demo failed. The message is one line; `details` are the last lines of the failed child, None if unset."""

    def __init__(self, message: str, details: Sequence[str] | None = None) -> None:
        super().__init__(message)
        self.details = details


class ChildProcess:
    """A child process that runs until the `with` block ends. Raises DemoError if it cannot be started.

    The program must exit when its standard input closes. The last lines of its output become the details of a DemoError
    raised in the block.
    """

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self.name = name
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environ,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # Ctrl-C goes to this process only, which stops its children in order
            )
        except OSError as error:
            raise DemoError(f"{name} cannot be started: {error.strerror}.") from error
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        self.last_lines.extend(filter(None, map(str.rstrip, self.process.stdout or ())))

    def wait_until_healthy(self, url: str, timeout: float) -> None:
        """Return as soon as a GET of `url` answers 200. Raise DemoError if the child ends, or after `timeout` s."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                healthy = httpx.get(url, timeout=2.0, trust_env=False).status_code == 200  # False: without a proxy
                if healthy and self.process.poll() is None:
                    return
            if (status := self.process.poll()) is not None:
                raise DemoError(f"{self.name} ended with status {status} before it was ready.")
            time.sleep(0.1)
        raise DemoError(f"{self.name} was not ready after {timeout:.0f} s.")

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        finally:  # also after a second Ctrl-C
            self.process.kill()
            self.process.wait()
            if self.process.stdin:
                self.process.stdin.close()
            self._reader.join(1.0)
        if isinstance(error, DemoError) and error.details is None:
            error.details = tuple(self.last_lines)


def free_port() -> int:
    """Return a free loopback port of PORTS. Raise DemoError if a hundred of them are taken."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise DemoError("No free port was found on 127.0.0.1: too many servers run on this machine.")


def exit_when_stdin_closes() -> None:
    """End this process, from a thread of its own, when standard input closes."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os._exit(0)  # sys.exit would end this thread only

    threading.Thread(target=watch, daemon=True).start()
