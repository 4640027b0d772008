"""A real, unmodified `optillm` process."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from optillm_cerebras_cepo.simulator import Simulator
from support import web
from support.ports import free_port

OPTILLM = Path(sys.executable).with_name("optillm")
STARTING = 300.0  # seconds until a start has failed: OptiLLM imports for a second or two where nothing else runs


class Server:
    """A running server.

    Args:
        url: its address.
        pid: its process.
        output: the file that its standard output and error go to.

    """

    def __init__(self, url: str, pid: int, output: IO[bytes]) -> None:
        self.url = url
        self.pid = pid
        self._output = output

    def ask(self, body: Mapping[str, Any], key: str | None = None) -> httpx.Response:
        """POST a chat completion."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return web.post(f"{self.url}/v1/chat/completions", json=body, headers=headers)

    @property
    def log(self) -> str:
        """Everything that it has written so far, to the last byte: it is there before what follows it in the server.

        The sidecar's lines are an exception: a thread writes them a little later (`sidecar/logs.py`).
        """
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode(errors="replace")

    @property
    def lines(self) -> list[str]:
        """The whole lines of its log."""
        return self.log.rpartition("\n")[0].splitlines()


@contextmanager
def optillm(
    *arguments: str, environ: Mapping[str, str], command: Path = OPTILLM, folder: str | None = None
) -> Iterator[Server]:
    """Run `optillm ARGUMENTS --port …` in an empty folder and wait until it is healthy."""
    port = free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CEPO_", "CEREBRAS_", "OTEL_"))}
    with tempfile.TemporaryDirectory() as empty:
        output = tempfile.TemporaryFile()  # noqa: SIM115 -- its log is read after its end, too
        process = subprocess.Popen(
            [str(command), *arguments, "--port", str(port)],
            cwd=folder or empty,
            # No call is late: the machine's speed would decide how many calls there are.
            env=clean | {"HOME": empty, "CEPO_CEREBRAS_HEDGED_CALLS": "false"} | dict(environ),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        server = Server(f"http://127.0.0.1:{port}", process.pid, output)
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


def _wait_until_healthy(server: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + STARTING
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"optillm ended with {process.returncode}:\n{server.log}")
        try:
            if web.get(f"{server.url}/health").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"optillm never became healthy:\n{server.log}")
