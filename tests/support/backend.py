"""The example backend of docs/integration, as it stands, in the environment that its README tells readers to make."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from conftest import KEY

from optillm_cerebras_cepo.simulator import Simulator
from support import sidecar_process, web
from support.client_environments import ROOT, kept
from support.optillm_process import Server, optillm
from support.waiting import PATIENCE, until

FOLDER = ROOT / "docs/integration"
README = FOLDER / "README.md"
BIN = Path(sys.executable).parent
IDENTITY = "You are planted-identity."
CLIENT_KEY = "planted-bearer-0123456789"
DIRECT = "The direct answer is 42."
LONG = "Six sevens are forty-two. " * 80
PATIENT = {f"{name}_TIMEOUT": str(PATIENCE) for name in ("CONNECT", "SPEED", "READY", "STREAM")}
QUESTIONS = "/v1/chat/completions"


def block(kind: str) -> str:
    """A command block of the README, by the comment before it."""
    (found,) = re.findall(rf"<!-- {kind} -->\n```bash\n(.*?)```", README.read_text(), re.DOTALL)
    return str(found)


def environment() -> Path:
    """A folder in which the README's first block was run; it is kept until that block or the lock changes."""
    lock = FOLDER / "requirements.lock"
    commands = block("install")

    def make(folder: Path) -> None:
        folder.mkdir()
        shutil.copy(lock, folder)
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euc", commands], cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    version = "{}.{}".format(*sys.version_info)
    return kept(f"backend-python{version}", [lock, README], make)


@contextmanager
def sidecar(api: str, **environ: str) -> Iterator[Server]:
    """Run `cepo-cerebras serve` before this API until it is ready. An empty value unsets; without a key it never is."""
    settings = {
        "CEREBRAS_API_KEY": KEY,
        "CEREBRAS_BASE_URL": api,
        "CEPO_CEREBRAS_CLIENT_KEY": CLIENT_KEY,
        "CEPO_CEREBRAS_CALL_ATTEMPTS": "1",
    }
    settings = {name: value for name, value in (settings | environ).items() if value}
    with sidecar_process.sidecar(environ=settings) as server:
        if "CEREBRAS_API_KEY" in settings:
            until(lambda: web.get(f"{server.url}/ready").status_code == 200, lambda: server.log)
        yield server


@dataclass(frozen=True)
class Backend:
    """The example at work."""

    server: Server

    def ask(self, text: str, layer: str = "speed", **more: Any) -> httpx.Response:
        """Ask one question and wait for all of the answer."""
        return web.post(f"{self.server.url}/chat", **body(text, layer, **more))

    @contextmanager
    def streaming(self, text: str, layer: str = "speed") -> Iterator[httpx.Response]:
        """Ask one question for a stream, and hang up at the end of the block."""
        with web.stream("POST", f"{self.server.url}/chat", **body(text, layer, stream=True)) as response:
            yield response

    def leave(self, text: str, layer: str, stream: bool, when: Callable[[], bool]) -> None:
        """Ask one question, and hang up before it is answered, as soon as this holds."""
        question = json.dumps(body(text, layer, stream=stream)["json"])
        with subprocess.Popen(["curl", "-sN", f"{self.server.url}/chat", "--json", question]) as client:
            until(when, lambda: self.server.log)
            client.kill()

    @property
    def state(self) -> dict[str, str]:
        """What /health says."""
        found: dict[str, str] = web.get(f"{self.server.url}/health").json()
        return found

    def until(self, **state: str) -> None:
        """Wait until /health says so."""
        until(lambda: state.items() <= self.state.items(), lambda: f"{self.state}\n{self.server.log}")


@contextmanager
def backend(sidecar_url: str, api: str, **environ: str) -> Iterator[Backend]:
    """Run the example with uvicorn; it looks at /ready five times a second, so that tests need not wait long for it.

    It waits for everybody as long as a machine under load may take, but where a test shortens that.
    """
    settings = {
        "CEPO_URL": sidecar_url,
        "CEPO_CLIENT_KEY": CLIENT_KEY,
        "CEREBRAS_API_KEY": KEY,
        "CEREBRAS_BASE_URL": api,
        "IDENTITY_PROMPT": IDENTITY,
        "READY_SECONDS": "0.2",
        **PATIENT,
    }
    command = environment() / ".venv/bin/uvicorn"
    with optillm("app.main:app", "--app-dir", str(FOLDER), environ=settings | environ, command=command) as server:
        yield Backend(server)


@dataclass(frozen=True)
class House:
    """All of it.

    Attributes:
        backend: the example.
        sidecar: which it asks.
        api: behind the sidecar.
        direct: the API where the sidecar cannot answer.

    """

    backend: Backend
    sidecar: Server
    api: Simulator
    direct: Simulator

    def settle(self) -> None:
        """Wait until the sidecar is done with every question, and has logged it; it gives a place back after that."""
        bearer = {"authorization": f"Bearer {CLIENT_KEY}"}
        left = "cepo_cerebras_requests_in_flight 0.0"
        until(lambda: left in web.get(f"{self.sidecar.url}/metrics", headers=bearer).text, lambda: self.sidecar.log)
        last = uuid.uuid4().hex  # lines are written in the order in which they are logged
        web.get(f"{self.sidecar.url}/{last}", headers=bearer)
        until(lambda: last in self.sidecar.log, lambda: self.sidecar.log)
        until(lambda: self.api.in_flight == 0, lambda: self.api.chat_calls)

    @property
    def questions(self) -> int:
        """How many the sidecar has been asked."""
        self.settle()
        return self.sidecar.log.count(f'"path": "{QUESTIONS}"')

    def clear(self) -> None:
        """Forget all calls so far."""
        self.api.clear()
        self.direct.clear()


def body(text: str, layer: str = "speed", **more: Any) -> dict[str, Any]:
    """A request of httpx with this question."""
    return {"json": {"messages": [{"role": "user", "content": text}], "layer": layer, **more}}


def events(text: str) -> list[Mapping[str, Any]]:
    """The events of a stream, without [DONE]."""
    rows = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(row) for row in rows if row != "[DONE]"]


def told(chunks: list[Mapping[str, Any]], name: str) -> list[str]:
    """Every piece of `content` or `reasoning_content` in a stream."""
    deltas = [choice["delta"] for chunk in chunks for choice in chunk.get("choices", [])]
    return [delta[name] for delta in deltas if delta.get(name)]
