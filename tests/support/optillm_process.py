"""A real, unmodified `optillm` process."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

OPTILLM = Path(sys.executable).with_name("optillm")
CHANCE = random.SystemRandom()  # that nobody seeds: other processes draw other ports


@dataclass
class Server:
    """A running server; `lines` is what it has logged so far."""

    url: str
    pid: int = 0
    lines: list[str] = field(default_factory=list)

    def ask(self, body: Mapping[str, Any], key: str | None = None) -> httpx.Response:
        """POST a chat completion."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.post(f"{self.url}/v1/chat/completions", json=body, headers=headers, timeout=120)

    @property
    def log(self) -> str:
        """Everything logged so far."""
        return "".join(self.lines)


def free_port() -> int:
    """A port that nobody listens on, of those below the ones that a system gives away by itself.

    Whoever asks the system for any port, and each connection, may get a port of those in the next moment.
    """
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", CHANCE.randrange(16_384, 32_768)))
            return int(probe.getsockname()[1])


@contextmanager
def optillm(
    *arguments: str, environ: Mapping[str, str], command: Path = OPTILLM, folder: str | None = None
) -> Iterator[Server]:
    """Run `optillm ARGUMENTS --port …` in an empty folder and wait until it is healthy."""
    port = free_port()
    server = Server(f"http://127.0.0.1:{port}")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CEPO_", "CEREBRAS_"))}
    with tempfile.TemporaryDirectory() as empty:
        process = subprocess.Popen(
            [str(command), *arguments, "--port", str(port)],
            cwd=folder or empty,
            env=clean | {"HOME": empty} | dict(environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        server.pid = process.pid
        reader = threading.Thread(target=server.lines.extend, args=(process.stdout,), daemon=True)
        reader.start()
        try:
            _wait_until_healthy(server, process)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            reader.join(5)


def _wait_until_healthy(server: Server, process: subprocess.Popen[str]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise AssertionError(f"optillm ended with {process.returncode}:\n{server.log}")
        try:
            if httpx.get(f"{server.url}/health", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"optillm never became healthy:\n{server.log}")
