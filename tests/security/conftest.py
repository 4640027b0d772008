"""Sidecars under attack, each in front of a simulated API that answers every call with code that would leave a mark."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from support.optillm_process import Server
from support.sidecar_process import sidecar
from support.wire import Reply, ask, request

from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.options import SimulatorOptions
from optillm_cerebras_cepo.simulator.server import Simulator

CLIENT_KEYS = ("planted-client-key-one", "sk-planted-client-key-two")
QUESTION = {"messages": [{"role": "user", "content": "Run it and show the result."}]}

# Stands in the folder where OptiLLM looks for plugins: it leaves a mark when it is imported, and when it is run.
PLUGIN = """
SLUG = "executecode"
open({imported!r}, "w").close()

def run(system_prompt, initial_query, client, model):
    open({ran!r}, "w").close()
    return "it ran", 1
"""


@dataclass(frozen=True)
class Trap:
    """A working folder with a plugin that must not run, and an API that answers with code that must not run."""

    folder: Path
    api: Simulator

    @property
    def code(self) -> str:
        """Return code that would leave a mark."""
        return f"```python\nopen({str(self.folder / 'ran')!r}, 'w').close()\n```"

    @property
    def sprung(self) -> list[str]:
        """Return the marks of code that ran, and remove them."""
        marks = [self.folder / name for name in ("imported", "ran")]
        found = [mark.name for mark in marks if mark.exists()]
        for mark in marks:
            mark.unlink(missing_ok=True)
        return found

    @property
    def sent(self) -> list[Any]:
        """Return the bodies of the calls that reached the API."""
        return [call.body for call in self.api.chat_calls]


@dataclass(frozen=True)
class Target:
    """A running sidecar in a trap."""

    server: Server
    trap: Trap

    @property
    def url(self) -> str:
        """Return its base URL."""
        return self.server.url

    def send(self, data: bytes) -> Reply:
        """Clear the API's record, send these bytes on a new connection and return the reply."""
        self.trap.api.clear()
        return ask(self.url, data)

    def ask(self, body: Any, **headers: Any) -> Reply:
        """Send a chat request."""
        return self.send(request(body=body if isinstance(body, bytes) else json.dumps(body).encode(), **headers))

    def records(self) -> list[dict[str, Any]]:
        """Return the log; every line must be a JSON object."""
        return [json.loads(line) for line in list(self.server.lines)]

    def logged(self, reply: Reply) -> dict[str, Any] | None:
        """Return the line of the access log for a reply, or None if it is not written yet."""
        wanted = {"request_id": reply.headers["x-request-id"], "message": "request"}
        return next((record for record in self.records() if wanted.items() <= record.items()), None)


@contextmanager
def _trap(folder: Path) -> Iterator[Trap]:
    plugins = folder / "optillm" / "plugins"
    plugins.mkdir(parents=True)
    plugin = PLUGIN.format(imported=str(folder / "imported"), ran=str(folder / "ran"))
    (plugins / "executecode_plugin.py").write_text(plugin)
    text = f"```python\nopen({str(folder / 'ran')!r}, 'w').close()\n```"
    with Simulator(SimulatorOptions(keys=(KEY,), rules=(Rule(text=text),))) as api:
        yield Trap(folder, api)


@pytest.fixture(scope="session")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], AbstractContextManager[Trap]]:
    """Return a function that makes a trap."""
    return lambda: _trap(tmp_path_factory.mktemp("trap"))


@pytest.fixture(scope="session")
def start(trap: Callable[[], AbstractContextManager[Trap]]) -> Iterator[Callable[..., Target]]:
    """Return a function that starts sidecars in traps; answers are direct unless a request says otherwise."""
    with ExitStack() as running:

        def started(*arguments: str, **environ: str) -> Target:
            caught = running.enter_context(trap())
            own = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": caught.api.url, "CEPO_CEREBRAS_EFFORT": "none"}
            server = sidecar(*arguments, environ=own | environ, folder=str(caught.folder))
            return Target(running.enter_context(server), caught)

        yield started


@pytest.fixture(scope="session")
def plain(start: Callable[..., Target]) -> Target:
    """A sidecar with default options, without client keys."""
    return start()


@pytest.fixture(scope="session")
def locked(start: Callable[..., Target]) -> Target:
    """A sidecar with client keys and debug logs."""
    return start("--log", "debug", CEPO_CEREBRAS_CLIENT_KEY=",".join(CLIENT_KEYS))


@pytest.fixture(scope="session")
def loose(start: Callable[..., Target]) -> Target:
    """A sidecar with everything open that can be: all addresses, tags in messages, Flask's debug mode."""
    return start("--host", "0.0.0.0", "--choose-by-message", "--max-body", "0.25", FLASK_DEBUG="1")
