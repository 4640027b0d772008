"""A server that runs as a child process: started, watched, waited for, and stopped whatever happens."""

from __future__ import annotations

import random
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import httpx

from optillm_cerebras_cepo.demo.errors import DemoError

KEPT_LINES = 50
"""How many of a child's last lines are kept, to be shown when it fails."""

STOP_SECONDS = 5.0
"""How long a child may take to stop when asked, before it is killed."""

POLL_SECONDS = 0.1

PORTS = range(24_576, 32_768)
"""Where a free port is looked for. Connections get theirs from 32,768 (Linux) or 49,152 (IANA) on."""


class Child:
    """A running child process and what it wrote last.

    Its standard input is a pipe that closes when this process ends, in whatever way; see `tether`.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], on_line: Callable[[str], bool]) -> None:
        self.name = name
        self.process = process
        self.last_lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._on_line = on_line
        self._reader = threading.Thread(target=self._read, name=f"{name} output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if text := line.rstrip():
                try:
                    dealt_with = self._on_line(text)
                except (
                    OSError,
                    ValueError,
                ):  # whoever was to see it is gone; the child must still be read, or it blocks
                    dealt_with = False
                if not dealt_with:
                    self.last_lines.append(text)

    def wait_until_healthy(self, url: str, timeout_seconds: float) -> None:
        """Return as soon as a GET of `url` answers 200.

        Raises:
            DemoError: the child ended first, or the time was up.

        """
        deadline = time.monotonic() + timeout_seconds
        # No environment: a proxy that is meant for the world must not be asked for this machine.
        with httpx.Client(trust_env=False, timeout=2.0) as client:
            while True:
                with suppress(httpx.TransportError):
                    if client.get(url).status_code == 200 and self.process.poll() is None:
                        return
                if (status := self.process.poll()) is not None:
                    raise self.failure(f"ended with status {status} before it was ready")
                if time.monotonic() > deadline:
                    raise self.failure(f"was not ready after {timeout_seconds:.0f} s")
                time.sleep(POLL_SECONDS)

    def failure(self, what: str) -> DemoError:
        """Return an error that names this child, says `what` it did, and carries its last lines."""
        with suppress(subprocess.TimeoutExpired):  # if it is ending, its last words are to be among them
            self.process.wait(1.0)
            self._reader.join(timeout=1.0)
        return DemoError(f"{self.name} {what}", self.last_lines)

    def stop(self) -> None:
        """End the process if it still runs, by force if need be, and read its output to the end."""
        try:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        finally:  # an impatient second Ctrl-C comes here too
            self.process.kill()
            self.process.wait()
            if self.process.stdin:
                self.process.stdin.close()
            self._reader.join(timeout=1.0)


def _keep_all(_line: str) -> bool:
    return False


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    environ: Mapping[str, str],
    on_line: Callable[[str], bool] = _keep_all,
) -> Iterator[Child]:
    """Run `command` while the block runs.

    Args:
        name: what messages call it.
        command: program and arguments. The program should end when its standard input closes: see `tether`.
        environ: its whole environment.
        on_line: takes each line of its standard output and standard error, without the line's end, on a thread of its
            own, and returns whether it dealt with it; all other lines are kept in `Child.last_lines`.

    Raises:
        DemoError: the program cannot be started.

    """
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=dict(environ),
            text=True,
            encoding="utf-8",
            errors="replace",
            # Ctrl-C goes to the terminal's foreground group. In a session of its own the child does not see it, and is
            # stopped by us, after the request that needs it and not in the middle.
            start_new_session=True,
        )
    except OSError as error:
        raise DemoError(f"{name} cannot be started: {error.strerror}") from error
    child = Child(name, process, on_line)
    try:
        yield child
    finally:
        child.stop()


def free_port() -> int:
    """Return a loopback port that is free now.

    It lies below the ports that systems give to connections, so that none of those takes it before the child listens.

    Raises:
        DemoError: no port of a hundred is free.

    """
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise DemoError("no free port was found on 127.0.0.1: too many servers run on this machine")
