from __future__ import annotations

import ast
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest
from aiohttp.web import Request
from support import web
from support.waiting import PATIENCE, until

import optillm_cerebras_cepo.simulator as package
from optillm_cerebras_cepo.simulator import Rule, Simulator, SimulatorOptions
from optillm_cerebras_cepo.simulator.api import Api
from simulator.conftest import Start

FOLDER = pathlib.Path(package.__file__).parent

SERVE = """
import sys
from optillm_cerebras_cepo.simulator import SimulatorOptions, serve
serve(SimulatorOptions(), "127.0.0.1", 0, lambda url: print(url, flush=True))
print("stopped")
"""


def test_the_simulator_imports_no_other_part_of_the_package() -> None:
    """It imports only its own modules, by relative imports with one dot."""
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1, file
                assert node.level == 1 or not (node.module or "").startswith("optillm"), file
            elif isinstance(node, ast.Import):
                assert not any(name.name.startswith("optillm") for name in node.names), file


def test_simulator_stops_cleanly() -> None:
    """Its thread has ended, its port is closed, and its log can be read."""
    before = set(threading.enumerate())
    with Simulator() as simulator:
        assert web.get(f"{simulator.url}/public/v1/models").status_code == 200
    assert set(threading.enumerate()) <= before
    with pytest.raises(httpx.ConnectError):
        web.get(simulator.url)
    assert len(simulator.calls) == 1


def test_simulator_stops_with_calls_running_and_connections_open() -> None:
    """Running calls are aborted."""
    with httpx.Client(verify=False, timeout=PATIENCE) as http:
        with Simulator(SimulatorOptions(rules=(Rule(held=True),))) as simulator:
            body = {"model": "llama3.1-8b", "messages": [{"role": "user", "content": "x"}]}
            http.get(f"{simulator.url}/public/v1/models")
            errors: list[Exception] = []

            def call() -> None:
                try:
                    web.post(
                        f"{simulator.url}/v1/chat/completions", json=body, headers={"Authorization": "Bearer csk-x"}
                    )
                except httpx.HTTPError as error:
                    errors.append(error)

            thread = threading.Thread(target=call)
            thread.start()
            until(lambda: simulator.held)
        thread.join()
    assert len(errors) == 1


def test_two_simulators_are_independent() -> None:
    """Each has its own port and log."""
    with Simulator() as one, Simulator() as two:
        web.get(f"{one.url}/public/v1/models")
        assert one.url != two.url
        assert (len(one.calls), len(two.calls)) == (1, 0)


def test_url_needs_a_running_simulator() -> None:
    """Before the start it raises an error, and stopping has no effect."""
    simulator = Simulator()
    with pytest.raises(RuntimeError, match="not running"):
        _ = simulator.url
    simulator.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_returns_on_a_signal(number: int) -> None:
    """In its own process: URL, calls, log over HTTP, and exit status."""
    process = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert web.get(f"{url}/public/v1/models").status_code == 200
        assert len(web.get(f"{url}/simulator/calls").json()["calls"]) == 1
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE)[0] == "stopped\n"
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_serve_fails_if_the_port_is_in_use() -> None:
    """It raises OSError and does not call on_ready."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            package.serve(SimulatorOptions(), "127.0.0.1", taken.getsockname()[1], pytest.fail)


def test_small_replies_are_sent_immediately(started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nagle's algorithm is off: it would delay calls on a reused connection by 40 ms."""
    no_delay: list[int] = []
    connection = Api._connection

    def recorded(api: Api, request: Request) -> int:
        if request.path.endswith("/chat/completions"):  # sidecars of other tests ask for lists of models
            client_socket = request.transport.get_extra_info("socket")
            no_delay.append(client_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return connection(api, request)

    monkeypatch.setattr(Api, "_connection", recorded)
    client = started()
    client.create()
    client.create()
    assert no_delay == [1, 1]
