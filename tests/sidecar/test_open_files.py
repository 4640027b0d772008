"""The limit of open files: how it is divided, and a sidecar with a low limit."""

from __future__ import annotations

import os
import re
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from conftest import KEY
from support.optillm_process import Server, optillm
from support.sidecar_process import COMMAND
from support.waiting import until
from support.wire import Wire, ask, request

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.sidecar.serve import MAX_API_CONNECTIONS, MIN_CONNECTIONS, OWN_FILES, divide_files
from optillm_cerebras_cepo.sidecar.server import ServerLimits
from optillm_cerebras_cepo.simulator.server import Simulator

FILES = 256
HEALTH = request("GET", "/health")
QUESTION = request(body=b'{"messages": [{"role": "user", "content": "What is 6 times 7?"}]}')


@pytest.mark.parametrize(
    ("files", "shares"),
    [
        (4096, (1000, MAX_API_CONNECTIONS)),
        (1024, (1024 - OWN_FILES - MAX_API_CONNECTIONS, MAX_API_CONNECTIONS)),
        (512, (512 - OWN_FILES - MAX_API_CONNECTIONS, MAX_API_CONNECTIONS)),
        (128, (32, 32)),
        (OWN_FILES + 2 * MIN_CONNECTIONS, (MIN_CONNECTIONS, MIN_CONNECTIONS)),
    ],
)
def test_the_limit_is_divided(files: int, shares: tuple[int, int]) -> None:
    """The sum is within the limit; with few files, clients and the API get half each."""
    assert divide_files(files, ServerLimits.connections) == shares
    assert sum(shares) + OWN_FILES <= files


def test_too_few_files_are_a_configuration_error() -> None:
    """The message has both numbers and says what to do."""
    with pytest.raises(
        BadConfiguration, match=rf"is {OWN_FILES}, at least {OWN_FILES + 2 * MIN_CONNECTIONS} are needed.*ulimit -n"
    ):
        divide_files(OWN_FILES, ServerLimits.connections)


@contextmanager
def limited(folder: Path, files: int, url: str) -> Iterator[Server]:
    """Run a sidecar with this limit of open files."""
    script = folder / "limited"
    script.write_text(f'#!/bin/sh\nulimit -n {files}\nexec {COMMAND} "$@"\n')
    script.chmod(0o755)
    environ = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": url, "CEPO_CEREBRAS_EFFORT": "none"}
    with optillm("serve", environ=environ, command=script) as server:
        yield server


def test_the_sidecar_does_not_start_with_too_few_files(tmp_path: Path) -> None:
    """The last line says why."""
    done = subprocess.run(
        ["sh", "-c", f'ulimit -n {OWN_FILES + 8}; exec "$0" serve', str(COMMAND)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"cepo-cerebras: The limit of open files is .*", done.stderr.splitlines()[-1])


def test_more_connections_than_files(tmp_path: Path, simulate: Callable[..., Simulator]) -> None:
    """Probes and chat requests are answered meanwhile and afterwards; further connections wait."""
    api = simulate()
    with limited(tmp_path, FILES, api.url) as server, ExitStack() as wires:
        for _ in range(FILES + FILES // 4):
            wires.enter_context(Wire(server.url))
        assert ask(server.url, HEALTH).status == 200
        assert ask(server.url, QUESTION).status == 200
        last = wires.enter_context(Wire(server.url))
        assert last.send(QUESTION).reply("POST").status == 200
        assert len(os.listdir(f"/proc/{server.pid}/fd")) <= FILES - divide_files(FILES, ServerLimits.connections)[1]
        wires.close()
        assert ask(server.url, QUESTION).status == 200
        assert "Traceback" not in server.log
        assert len(api.chat_calls) == 3


def test_no_file_left_for_a_connection(tmp_path: Path, simulate: Callable[..., Simulator]) -> None:
    """It logs a line, waits, and continues when files are free."""
    with limited(tmp_path, FILES, simulate().url) as server, ExitStack() as wires:
        until(lambda: ask(server.url, request("GET", "/ready")).status == 200)  # it has its connection to the API
        highest = max(map(int, os.listdir(f"/proc/{server.pid}/fd")))
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (highest + 2, FILES))
        for _ in range(highest + 2):
            wires.enter_context(Wire(server.url))
        until(lambda: "Cannot accept connections: Too many open files" in server.log)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        assert ask(server.url, HEALTH).status == 200
        assert "Traceback" not in server.log
