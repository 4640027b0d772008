"""The limit of open files: how it is shared out, and a sidecar under a low one."""

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

from optillm_cerebras_cepo.errors import BadConfiguration
from optillm_cerebras_cepo.sidecar.files import API, LEAST, OWN, Shares, share_out
from optillm_cerebras_cepo.sidecar.server import Limits
from optillm_cerebras_cepo.simulator.server import Simulator

FILES = 256
HEALTH = request("GET", "/health")
QUESTION = request(body=b'{"messages": [{"role": "user", "content": "What is 6 times 7?"}]}')


@pytest.mark.parametrize(
    ("files", "shares"),
    [
        (4096, Shares(1000, API)),
        (1024, Shares(1024 - OWN - API, API)),
        (512, Shares(512 - OWN - API, API)),
        (128, Shares(32, 32)),
        (OWN + 2 * LEAST, Shares(LEAST, LEAST)),
    ],
)
def test_clients_get_what_the_api_and_the_process_leave(files: int, shares: Shares) -> None:
    """Never more than there is; where there is little, both get half."""
    assert share_out(files, Limits.connections) == shares
    assert shares.clients + shares.api + OWN <= files


def test_too_few_files_are_a_configuration_error() -> None:
    """One line with both numbers and what to do."""
    with pytest.raises(BadConfiguration, match=rf"is {OWN}, and at least {OWN + 2 * LEAST} are needed.*ulimit -n"):
        share_out(OWN, Limits.connections)


@contextmanager
def limited(folder: Path, files: int, url: str) -> Iterator[Server]:
    """A sidecar that may open so many files."""
    script = folder / "limited"
    script.write_text(f'#!/bin/sh\nulimit -n {files}\nexec {COMMAND} "$@"\n')
    script.chmod(0o755)
    environ = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": url, "CEPO_CEREBRAS_EFFORT": "none"}
    with optillm("serve", environ=environ, command=script) as server:
        yield server


def test_with_too_few_it_does_not_start(tmp_path: Path) -> None:
    """And says so in one line."""
    done = subprocess.run(
        ["sh", "-c", f'ulimit -n {OWN + 8}; exec "$0" serve', str(COMMAND)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"cepo-cerebras: the limit of open files is .*", done.stderr.splitlines()[-1])


def test_more_connections_than_files(tmp_path: Path, simulate: Callable[..., Simulator]) -> None:
    """It stays, answers probes and questions meanwhile and afterwards, and calls the API; who is too many waits."""
    api = simulate()
    with limited(tmp_path, FILES, api.url) as server, ExitStack() as wires:
        for _ in range(FILES + FILES // 4):
            wires.enter_context(Wire(server.url))
        assert ask(server.url, HEALTH).status == 200
        assert ask(server.url, QUESTION).status == 200
        last = wires.enter_context(Wire(server.url))
        assert last.send(QUESTION).reply("POST").status == 200
        assert len(os.listdir(f"/proc/{server.pid}/fd")) <= FILES - share_out(FILES, Limits.connections).api
        wires.close()
        assert ask(server.url, QUESTION).status == 200
        assert "Traceback" not in server.log
        assert len(api.chat_calls) == 3


def test_no_file_is_left_for_a_connection(tmp_path: Path, simulate: Callable[..., Simulator]) -> None:
    """What others in the process have taken: it says so in a line, waits, and goes on when there are files again."""
    with limited(tmp_path, FILES, simulate().url) as server, ExitStack() as wires:
        until(lambda: ask(server.url, request("GET", "/ready")).status == 200)  # it has its connection to the API
        highest = max(map(int, os.listdir(f"/proc/{server.pid}/fd")))
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (highest + 2, FILES))
        for _ in range(highest + 2):
            wires.enter_context(Wire(server.url))
        until(lambda: "no connection can be taken: Too many open files" in server.log)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (FILES, FILES))
        assert ask(server.url, HEALTH).status == 200
        assert "Traceback" not in server.log
