from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.waiting import PATIENCE, until

from optillm_cerebras_cepo.demo import child_process
from optillm_cerebras_cepo.demo.child_process import LAST_LINES, PORTS, ChildProcess, DemoError, free_port

HEALTHY = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *_):
        pass

server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("step: one", flush=True)
print("chatter", file=sys.stderr, flush=True)
server.serve_forever()
"""


def script(text: str, *arguments: object) -> list[str]:
    """Return the command that runs `text` as a Python program."""
    return [sys.executable, "-c", text, *map(str, arguments)]


def wait_for_file(path: Path) -> str:
    """Return the file's text as soon as it has any."""
    until(lambda: path.exists() and bool(path.read_text()))
    return path.read_text()


def test_free_port_is_not_one_that_connections_get() -> None:
    """None of a hundred client connections gets a port of PORTS, so the child can still listen on its port."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server, ExitStack() as open_sockets:
        for _ in range(100):
            connection = open_sockets.enter_context(socket.create_connection(server.getsockname()))
            assert connection.getsockname()[1] not in PORTS
            open_sockets.enter_context(server.accept()[0])
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_free_port_fails_if_all_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says why."""
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(child_process, "PORTS", [port] * 100)
        with pytest.raises(DemoError, match="too many servers"):
            free_port()


def test_waits_for_health_keeps_the_output_and_stops() -> None:
    """`last_lines` has the lines of both streams. After the block, the process has ended."""
    port = free_port()
    with ChildProcess("the server", script(HEALTHY, port), os.environ) as child:
        child.wait_until_healthy(f"http://127.0.0.1:{port}/health", PATIENCE)
    assert child.process.returncode is not None
    assert list(child.last_lines) == ["step: one", "chatter"]


def test_a_child_that_ends_early_is_reported_with_its_last_lines() -> None:
    """They usually say why."""
    text = "import sys; [print(n) for n in range(200)]; sys.exit('no such thing')"
    with pytest.raises(DemoError, match=r"^the server ended with status 1 before it was ready\.$") as raised:  # noqa: SIM117
        with ChildProcess("the server", script(text), os.environ) as child:
            child.wait_until_healthy(f"http://127.0.0.1:{free_port()}/health", PATIENCE)
    assert raised.value.details is not None
    assert len(raised.value.details) == LAST_LINES
    assert raised.value.details[-1] == "no such thing"


def test_a_child_that_never_gets_healthy_is_reported_and_stopped() -> None:
    """It answers, but never with 200."""
    port = free_port()
    with pytest.raises(DemoError, match="the server was not ready after 1 s"):  # noqa: SIM117
        with ChildProcess("the server", script(HEALTHY, port), os.environ) as child:
            child.wait_until_healthy(f"http://127.0.0.1:{port}/never", 1)
    assert child.process.returncode is not None


def test_health_is_checked_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the environment names one."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    port = free_port()
    with ChildProcess("the server", script(HEALTHY, port), os.environ) as child:
        child.wait_until_healthy(f"http://127.0.0.1:{port}/health", PATIENCE)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to ignore")
def test_kills_a_child_that_ignores_sigterm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After STOP_SECONDS."""
    monkeypatch.setattr(child_process, "STOP_SECONDS", 0.2)
    ready = tmp_path / "ready"
    text = (
        "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "pathlib.Path(sys.argv[1]).write_text('yes'); time.sleep(60)"
    )
    with ChildProcess("the server", script(text, ready), os.environ) as child:
        wait_for_file(ready)
    assert child.process.returncode == -9


def test_stops_the_child_when_the_block_is_interrupted(tmp_path: Path) -> None:
    """KeyboardInterrupt is raised after the child has ended."""
    ready = tmp_path / "ready"
    text = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text('yes'); time.sleep(60)"
    started = []

    def interrupted() -> None:
        with ChildProcess("the server", script(text, ready), os.environ) as child:
            started.append(child)
            wait_for_file(ready)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert started[0].process.returncode is not None


def test_a_program_that_cannot_be_started_is_reported(tmp_path: Path) -> None:
    """In one line, without a traceback."""
    with pytest.raises(DemoError, match=r"^the server cannot be started: No such file"):  # noqa: SIM117
        with ChildProcess("the server", [str(tmp_path / "none")], os.environ):
            pass
