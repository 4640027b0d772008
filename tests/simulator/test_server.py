from __future__ import annotations

import ast
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

import httpx
import pytest

import optillm_cerebras_cepo.simulator as package
from optillm_cerebras_cepo.simulator import Latency, Simulator, SimulatorOptions

FOLDER = pathlib.Path(package.__file__).parent

SERVE = """
import sys
from optillm_cerebras_cepo.simulator import SimulatorOptions, serve
serve(SimulatorOptions(), "127.0.0.1", 0, lambda url: print(url, flush=True))
print("stopped")
"""


def test_nothing_of_the_package_around_is_imported():
    """An independent witness: only its own modules, by relative imports of one dot."""
    for file in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1, file
                assert node.level == 1 or not (node.module or "").startswith("optillm"), file
            elif isinstance(node, ast.Import):
                assert not any(name.name.startswith("optillm") for name in node.names), file


def test_simulator_stops_cleanly():
    """No thread is left, the port is closed, the figures remain."""
    before = threading.active_count()
    with Simulator() as simulator:
        assert httpx.get(f"{simulator.url}/public/v1/models", verify=False).status_code == 200
    assert threading.active_count() == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(simulator.url, verify=False)
    assert len(simulator.calls) == 1


def test_simulator_stops_with_calls_running_and_connections_open():
    """What still runs is cut off after a moment."""
    with httpx.Client(verify=False, headers={"Authorization": "Bearer csk-x"}) as http:
        with Simulator(SimulatorOptions(latency=Latency(base=30))) as simulator:
            body = {"model": "llama3.1-8b", "messages": [{"role": "user", "content": "x"}]}
            http.get(f"{simulator.url}/public/v1/models")
            with pytest.raises(httpx.ReadTimeout):
                http.post(f"{simulator.url}/v1/chat/completions", json=body, timeout=0.05)
            errors: list[Exception] = []

            def call() -> None:
                try:
                    httpx.post(
                        f"{simulator.url}/v1/chat/completions",
                        verify=False,
                        json=body,
                        headers={"Authorization": "Bearer csk-x"},
                        timeout=20,
                    )
                except httpx.HTTPError as error:
                    errors.append(error)

            thread = threading.Thread(target=call)
            thread.start()
            while simulator.in_flight < 1:
                time.sleep(0.005)
            before = time.perf_counter()
        assert time.perf_counter() - before < 10
        thread.join()
    assert len(errors) == 1


def test_two_simulators_are_two_ports():
    """Each has a port and a ledger of its own."""
    with Simulator() as one, Simulator() as two:
        httpx.get(f"{one.url}/public/v1/models", verify=False)
        assert one.url != two.url
        assert (len(one.calls), len(two.calls)) == (1, 0)


def test_url_needs_a_running_simulator():
    """Not started is an error that says so; stopping it then does nothing."""
    simulator = Simulator()
    with pytest.raises(RuntimeError, match="not running"):
        _ = simulator.url
    simulator.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_returns_on_a_signal(number):
    """A process of its own: ready line, real calls, ledger over HTTP, a clean end."""
    process = subprocess.Popen([sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/public/v1/models", verify=False).status_code == 200
        assert len(httpx.get(f"{url}/simulator/calls", verify=False).json()["calls"]) == 1
        process.send_signal(number)
        assert process.communicate(timeout=5)[0] == "stopped\n"
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_serve_says_when_the_port_is_taken():
    """OSError, and on_ready is not called."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            package.serve(SimulatorOptions(), "127.0.0.1", taken.getsockname()[1], pytest.fail)


def test_small_answers_are_quick(shared):
    """No delayed acknowledgement on a kept-alive connection: that would be 40 ms a call."""
    seconds = []
    for _ in range(40):
        before = time.perf_counter()
        shared.create()
        seconds.append(time.perf_counter() - before)
    assert statistics.median(seconds) < 0.035
