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

from optillm_cerebras_cepo.simulator import Simulator

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


def asked_of(checkout: Path, approach: str) -> tuple[int, int, str]:
    """Ask the `optillm` of a checkout one question; no file of ours may be in it.

    Returns:
        The status, the calls to a simulated API as strict as Cerebras's, and the reply with the server's log.

    """
    environ = {"CEREBRAS_API_KEY": "csk-of-nobody", "PYTHONPATH": str(checkout)}
    body = {"model": "llama-3.3-70b", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}
    with Simulator() as api, optillm("--base-url", api.url, "--approach", approach, environ=environ) as server:
        reply = server.ask(body)
        assert f"plugins in: {checkout}/optillm/plugins" in server.log, f"another OptiLLM answered:\n{server.log}"
        assert not [*checkout.glob("optillm/plugins/cepo_cerebras*")], "there is a file of ours"
        return reply.status_code, len(api.chat_calls), f"{reply.text}\n{server.log}"


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
