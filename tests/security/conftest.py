"""Sidecars to attack, each before a simulated API whose every answer is code that would leave a mark if it ran."""

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
    """A folder to run a server in, with code in it that is not to run; and an API that answers with such code."""

    folder: Path
    api: Simulator

    @property
    def code(self) -> str:
        """What would leave a mark."""
        return f"```python\nopen({str(self.folder / 'ran')!r}, 'w').close()\n```"

    @property
    def sprung(self) -> list[str]:
        """What has run, once."""
        marks = [self.folder / name for name in ("imported", "ran")]
        found = [mark.name for mark in marks if mark.exists()]
        for mark in marks:
            mark.unlink(missing_ok=True)
        return found

    @property
    def sent(self) -> list[Any]:
        """The bodies of the calls that have reached the API."""
        return [call.body for call in self.api.chat_calls]


@dataclass(frozen=True)
class Target:
    """A running sidecar in a trap."""

    server: Server
    trap: Trap

    @property
    def url(self) -> str:
        """Its address."""
        return self.server.url

    def send(self, data: bytes) -> Reply:
        """Send these bytes on a connection of their own; the API's record begins anew."""
        self.trap.api.clear()
        return ask(self.url, data)

    def ask(self, body: Any, **headers: Any) -> Reply:
        """Ask for an answer."""
        return self.send(request(body=body if isinstance(body, bytes) else json.dumps(body).encode(), **headers))

    def records(self) -> list[dict[str, Any]]:
        """The log, whose every line is to be a JSON object."""
        return [json.loads(line) for line in list(self.server.lines)]

    def logged(self, reply: Reply) -> dict[str, Any] | None:
        """The line of the access log that belongs to a reply, if it is there by now."""
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
    """A new trap."""
    return lambda: _trap(tmp_path_factory.mktemp("trap"))


@pytest.fixture(scope="session")
def start(trap: Callable[[], AbstractContextManager[Trap]]) -> Iterator[Callable[..., Target]]:
    """Start sidecars in traps; direct answers unless a request says otherwise."""
    with ExitStack() as running:

        def started(*arguments: str, **environ: str) -> Target:
            caught = running.enter_context(trap())
            own = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": caught.api.url, "CEPO_CEREBRAS_EFFORT": "none"}
            server = sidecar(*arguments, environ=own | environ, folder=str(caught.folder))
            return Target(running.enter_context(server), caught)

        yield started


@pytest.fixture(scope="session")
def plain(start: Callable[..., Target]) -> Target:
    """A sidecar as it comes, without clients' keys."""
    return start()


@pytest.fixture(scope="session")
def locked(start: Callable[..., Target]) -> Target:
    """One that wants a key, and logs all that it can."""
    return start("--log", "debug", CEPO_CEREBRAS_CLIENT_KEY=",".join(CLIENT_KEYS))


@pytest.fixture(scope="session")
def loose(start: Callable[..., Target]) -> Target:
    """One whose operator opens what can be opened: to every address, to tags in messages, to Flask's debug mode."""
    return start("--host", "0.0.0.0", "--choose-by-message", "--max-body", "0.25", FLASK_DEBUG="1")
