"""Other people's client libraries before a real server: how each is started, and what the server saw of it."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import KEY

from optillm_cerebras_cepo.simulator import Simulator, SimulatorOptions
from support import web
from support.client_environments import ROOT, node_environment, python_environment
from support.client_program import Program
from support.optillm_process import Server, optillm
from support.waiting import until

CLIENTS = ROOT / "tests/clients"
PROGRAMS = CLIENTS / "programs"


@dataclass(frozen=True)
class House:
    """A real `optillm` with the plugin, and the simulated API behind it."""

    server: Server
    api: Simulator

    def requests(self, since: int = 0) -> list[int]:
        """Return the statuses of the clients' requests, in order, from the server's own log; the first ones left out.

        The lines of all that were answered are there when that of a request after them is.
        """
        last = uuid.uuid4().hex
        web.get(f"{self.server.url}/health?{last}")
        until(lambda: last in self.server.log, lambda: f"no request in the log:\n{self.server.log}")
        lines = re.findall(r'POST /v1/chat/completions HTTP/1\.\d\S*" (\d+) ', self.server.log)
        return [int(status) for status in lines[since:]]


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

    def start(self) -> Program:
        """Start the program in its environment, which is made when it is not there."""
        if self.lock.endswith(".lock"):
            return Program([python_environment(CLIENTS / self.lock), PROGRAMS / self.program])
        folder = node_environment(CLIENTS / self.lock)
        for file in PROGRAMS.glob("*.mjs"):
            shutil.copy(file, folder)  # Node.js looks for packages beside the program
        return Program(["node", folder / self.program, self.major])


class Programs:
    """The clients' programs, each started when it is first needed and kept for the next scenario."""

    def __init__(self) -> None:
        self._idle: dict[Client, Program] = {}

    def run(self, client: Client, scenario: str, house: House) -> dict[str, Any]:
        """Run one scenario to its end and return what it reports."""
        with self.during(client, scenario, house) as program:
            return program.report()

    @contextmanager
    def during(self, client: Client, scenario: str, house: House) -> Iterator[Program]:
        """Run one scenario, which must have ended well after the block."""
        program = self._idle.pop(client, None) or client.start()
        try:
            program.begin(scenario, house.server.url)
            yield program
            program.over(scenario)
        except BaseException:
            program.kill()  # nobody knows what it is at
            raise
        self._idle[client] = program

    def end(self) -> None:
        """End all of them."""
        while self._idle:
            self._idle.popitem()[1].kill()
