from __future__ import annotations

import os
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.waiting import PATIENCE, until

from optillm_cerebras_cepo.demo import child as child_module
from optillm_cerebras_cepo.demo.child import KEPT_LINES, PORTS, free_port, running
from optillm_cerebras_cepo.demo.errors import DemoError

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
    """The command that runs `text` as a Python program."""
    return [sys.executable, "-c", text, *map(str, arguments)]


def wait_for_file(path: Path) -> str:
    """The file's text, as soon as there is any."""
    until(lambda: path.exists() and bool(path.read_text()))
    return path.read_text()


def test_no_connection_gets_the_port_before_the_child() -> None:
    """Each of a hundred connections to a server has another port of its own; the child's is none of such."""
    port = free_port()
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server, ExitStack() as kept:
        for _ in range(100):
            connection = kept.enter_context(socket.create_connection(server.getsockname()))
            assert connection.getsockname()[1] not in PORTS
            kept.enter_context(server.accept()[0])
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_no_port_that_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a hundred are taken, that is said."""
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(child_module, "PORTS", [port] * 100)
        with pytest.raises(DemoError, match="too many servers"):
            free_port()


def test_waits_for_health_sorts_the_output_and_stops() -> None:
    """Lines that are dealt with are not kept, all others are, from both streams; afterwards the process is gone."""
    port, steps = free_port(), []

    def on_line(line: str) -> bool:
        steps.append(line)
        return line.startswith("step:")

    with running("the server", script(HEALTHY, port), os.environ, on_line) as child:
        child.wait_until_healthy(f"http://127.0.0.1:{port}/health", PATIENCE)
    assert child.process.returncode is not None
    assert steps == ["step: one", "chatter"]
    assert list(child.last_lines) == ["chatter"]


def test_reports_a_child_that_dies_early_with_its_last_lines() -> None:
    """What it said last says why."""
    text = "import sys; [print(n) for n in range(200)]; sys.exit('no such thing')"
    with pytest.raises(DemoError, match=r"^the server ended with status 1 before it was ready$") as raised:  # noqa: SIM117
        with running("the server", script(text), os.environ) as child:
            child.wait_until_healthy(f"http://127.0.0.1:{free_port()}/health", PATIENCE)
    assert len(raised.value.details) == KEPT_LINES
    assert raised.value.details[-1] == "no such thing"


def test_gives_up_on_a_child_that_never_gets_healthy() -> None:
    """It answers, but never with 200; it is stopped all the same."""
    port = free_port()
    with pytest.raises(DemoError, match="the server was not ready after 1 s"):  # noqa: SIM117
        with running("the server", script(HEALTHY, port), os.environ) as child:
            child.wait_until_healthy(f"http://127.0.0.1:{port}/never", 1)
    assert child.process.returncode is not None


def test_does_not_ask_a_proxy_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proxy in the environment the child is still reached directly."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    port = free_port()
    with running("the server", script(HEALTHY, port), os.environ) as child:
        child.wait_until_healthy(f"http://127.0.0.1:{port}/health", PATIENCE)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to ignore")
def test_kills_a_child_that_ignores_sigterm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server that does not want to stop is stopped."""
    monkeypatch.setattr(child_module, "STOP_SECONDS", 0.2)
    ready = tmp_path / "ready"
    text = (
        "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "pathlib.Path(sys.argv[1]).write_text('yes'); time.sleep(60)"
    )
    with running("the server", script(text, ready), os.environ) as child:
        wait_for_file(ready)
    assert child.process.returncode == -9


def test_stops_the_child_when_the_block_is_interrupted(tmp_path: Path) -> None:
    """Ctrl-C goes through, after the child has been stopped."""
    ready = tmp_path / "ready"
    text = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text('yes'); time.sleep(60)"
    started = []

    def interrupted() -> None:
        with running("the server", script(text, ready), os.environ) as child:
            started.append(child)
            wait_for_file(ready)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert started[0].process.returncode is not None


def test_goes_on_reading_when_the_lines_cannot_be_shown() -> None:
    """With the reader's terminal gone the child must not block on a full pipe."""

    def on_line(line: str) -> bool:
        raise BrokenPipeError

    text = "for n in range(20_000): print('a line of some length', n)"
    with running("the server", script(text), os.environ, on_line) as child:
        assert child.process.wait(10) == 0
    assert child.last_lines[-1] == "a line of some length 19999"


def test_says_when_the_program_cannot_be_started(tmp_path: Path) -> None:
    """One line, no traceback."""
    with pytest.raises(DemoError, match=r"^the server cannot be started: No such file"):  # noqa: SIM117
        with running("the server", [str(tmp_path / "none")], os.environ):
            pass
