"""Exceptions that end a thread, such as SystemExit: each thread survives them, or the process ends."""

from __future__ import annotations

import io
import logging
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from conftest import KEY
from pytest_mock import MockerFixture
from support.http_server import address, serving
from support.ports import free_port
from support.waiting import until
from support.wire import Wire, assert_refused, request

from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.sidecar import logs
from optillm_cerebras_cepo.sidecar.admission import ClientKeys, RequestSlots
from optillm_cerebras_cepo.sidecar.app import SidecarApp
from optillm_cerebras_cepo.sidecar.readiness import Readiness
from optillm_cerebras_cepo.sidecar.request_record import Metrics

QUESTION = request(body=b'{"messages": [{"role": "user", "content": "What is 6 times 7?"}]}')
BROKEN = """
import sys
from optillm_cerebras_cepo.sidecar.server import Server

def broken(self, now):
    raise {error}(sys.argv[2])  # not its text: Python 3.13 puts this line into the traceback

Server.maintenance = broken
from optillm_cerebras_cepo.cli.main import main
main(["serve", "--port", sys.argv[1]])
"""


def at_once(_: dict[str, Any], __: Callable[..., Any]) -> Iterable[bytes]:
    """Raise before the response starts."""
    raise SystemExit("planted")


def before_the_first(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Raise when the response is read."""
    start_response("200 OK", [("content-type", "application/json")])
    raise SystemExit("planted")
    yield b""


def in_the_middle(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Raise after a part of the response was sent."""
    start_response("200 OK", [("content-type", "application/json")])
    yield b"a part"
    raise SystemExit("planted")


@pytest.mark.parametrize("inner", [at_once, before_the_first, in_the_middle])
def test_an_interrupted_request_leaves_nothing(inner: Any) -> None:
    """Its client gets an error or is disconnected; its slot, connection and thread are free again."""
    slots = RequestSlots(1)
    app = SidecarApp(
        inner,
        keys=ClientKeys([]),
        slots=slots,
        metrics=Metrics(lambda: 0),
        readiness=Readiness(Runtime(), "http://127.0.0.1:9", ["llama3.3-70b"]),
        wanted=["llama3.3-70b"],
        approaches=["cepo_cerebras"],
    )
    with serving(app, threads=1) as server:
        for _ in range(2):
            with Wire(address(server)) as wire:
                wire.send(QUESTION)
                if inner is in_the_middle:
                    assert b"a part" in wire.rest()
                else:
                    reply = wire.reply("POST")
                    assert_refused(reply, 500, None)
                    assert b"planted" not in reply.body
            until(lambda: slots.in_use == 0)
        until(lambda: not server.active_channels)


def test_the_readiness_check_continues(monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture) -> None:
    """And the state says that it failed."""
    monkeypatch.setenv("CEREBRAS_API_KEY", KEY)
    runtime = mocker.Mock()
    runtime.client.side_effect = SystemExit("planted")
    state = Readiness(runtime, "http://127.0.0.1:9", ["llama3.3-70b"]).check()
    assert state.model is None
    assert "SystemExit" in state.reason


def test_a_failed_log_record_does_not_stop_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its thread, all threads that log would block once the queue is full."""
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr("sys.stderr", err := io.StringIO())
    deep: list[Any] = []
    for _ in range(100_000):  # a RecursionError, which Python's handlers hand on
        deep = [deep]
    level = logging.root.level
    try:
        with logs.json_logging():
            logging.getLogger("test").info("first", extra={"deep": deep})
            logging.getLogger("test").info("second")
            until(lambda: "second" in err.getvalue())
    finally:
        logging.root.setLevel(level)


@pytest.mark.parametrize("error", ["RuntimeError", "SystemExit"])
def test_the_process_ends_when_its_http_server_fails(error: str) -> None:
    """With exit status 1 and one line, so that its supervisor restarts it."""
    done = subprocess.run(
        [sys.executable, "-c", BROKEN.format(error=error), str(free_port()), "planted"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "cepo-cerebras: The HTTP server has failed; see the log."
    assert "planted" not in done.stderr
