"""Other people's client libraries before a real server: how each is started, and what the server saw of it."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import KEY

from optillm_cerebras_cepo.simulator import Simulator, SimulatorOptions
from support.client_environments import ROOT, node_environment, python_environment
from support.client_program import Program, running
from support.optillm_process import Server, optillm

CLIENTS = ROOT / "tests/clients"
PROGRAMS = CLIENTS / "programs"


@dataclass(frozen=True)
class House:
    """A real `optillm` with the plugin, and the simulated API behind it."""

    server: Server
    api: Simulator

    def requests(self, since: int | None = None) -> list[int]:
        """Return the statuses of the clients' requests, in order, from the server's own log.

        Args:
            since: how many to leave out. Then there must be more of them, and their lines are waited for.

        """

        def found() -> list[int]:
            lines = re.findall(r'POST /v1/chat/completions HTTP/1\.\d\S*" (\d+) ', self.server.log)
            return [int(status) for status in lines[since or 0 :]]

        if since is not None:
            eventually(lambda: bool(found()), 5, lambda: f"no request in the log:\n{self.server.log}")
        return found()


@contextmanager
def house(options: SimulatorOptions, **environ: str) -> Iterator[House]:
    """Run both."""
    with Simulator(options) as api:
        arguments = ("--base-url", api.url, "--approach", "cepo_cerebras")
        with optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY, **environ}) as server:
            yield House(server, api)


@dataclass(frozen=True)
class Client:
    """A client library.

    Attributes:
        lock: what its environment is made of: a lock of pip's, or a folder of npm's.
        program: what uses it.
        major: its major version, where the environment has several.
        cancels: the scenarios of `program` that end a stream in the middle.

    """

    lock: str
    program: str
    major: str = ""
    cancels: tuple[str, ...] = ("cancel",)

    @property
    def name(self) -> str:
        """What a test is called by."""
        return f"{Path(self.program).stem}-{self.major or Path(self.lock).stem}"

    def run(self, scenario: str, house: House) -> dict[str, Any]:
        """Run one scenario to its end and return what it reports."""
        with self.start(scenario, house) as program:
            found = program.report()
            program.end()
        return found

    def start(self, scenario: str, house: House) -> AbstractContextManager[Program]:
        """Start the program in its environment, which is made when it is not there."""
        arguments = [house.server.url, scenario, *([self.major] if self.major else [])]
        if self.lock.endswith(".lock"):
            return running([python_environment(CLIENTS / self.lock), PROGRAMS / self.program, *arguments])
        folder = node_environment(CLIENTS / self.lock)
        for file in PROGRAMS.glob("*.mjs"):
            shutil.copy(file, folder)  # Node.js looks for packages beside the program
        return running(["node", folder / self.program, *arguments])


def eventually(holds: Callable[[], bool], seconds: float, otherwise: Callable[[], str]) -> None:
    """Wait until it holds, or fail."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, otherwise()
        time.sleep(0.05)
