"""Errors that end a thread, such as SystemExit, in each of the sidecar's threads: it goes on, or ends as a whole."""

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
from optillm_cerebras_cepo.sidecar.admission import Admission
from optillm_cerebras_cepo.sidecar.entrance import Entrance
from optillm_cerebras_cepo.sidecar.keys import ClientKeys
from optillm_cerebras_cepo.sidecar.metrics import Metrics
from optillm_cerebras_cepo.sidecar.readiness import Readiness

QUESTION = request(body=b'{"messages": [{"role": "user", "content": "What is 6 times 7?"}]}')
BROKEN = """
import sys
from optillm_cerebras_cepo.sidecar.server import Server

def broken(self, now):
    raise {error}

Server.maintenance = broken
from optillm_cerebras_cepo.cli import main
main(["serve", "--port", sys.argv[1]])
"""


def at_once(_: dict[str, Any], __: Callable[..., Any]) -> Iterable[bytes]:
    """Ends before it says anything."""
    raise SystemExit("planted")


def before_the_first(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Ends when its answer is read."""
    start_response("200 OK", [("content-type", "application/json")])
    raise SystemExit("planted")
    yield b""


def in_the_middle(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Ends when a part of its answer has been sent."""
    start_response("200 OK", [("content-type", "application/json")])
    yield b"a part"
    raise SystemExit("planted")


@pytest.mark.parametrize("inner", [at_once, before_the_first, in_the_middle])
def test_a_request_that_is_interrupted_leaves_nothing(inner: Any) -> None:
    """Its client is told, or hung up on; its place is free again, its connection closed, its thread answers others."""
    admission = Admission(1)
    entrance = Entrance(
        inner,
        keys=ClientKeys([]),
        admission=admission,
        metrics=Metrics(lambda: 0),
        readiness=Readiness(Runtime(), "http://127.0.0.1:9", ["llama3.3-70b"]),
        wanted=["llama3.3-70b"],
        approaches=["cepo_cerebras"],
    )
    with serving(entrance, threads=1) as server:
        for _ in range(2):
            with Wire(address(server)) as wire:
                wire.send(QUESTION)
                if inner is in_the_middle:
                    assert b"a part" in wire.rest()
                else:
                    reply = wire.reply("POST")
                    assert_refused(reply, 500, None)
                    assert b"planted" not in reply.body
            until(lambda: admission.in_flight == 0)
        until(lambda: not server.active_channels)


def test_the_look_at_the_api_goes_on(monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture) -> None:
    """And the state says that it failed: nobody else would look again."""
    monkeypatch.setenv("CEREBRAS_API_KEY", KEY)
    runtime = mocker.Mock()
    runtime.client.side_effect = SystemExit("planted")
    state = Readiness(runtime, "http://127.0.0.1:9", ["llama3.3-70b"]).look()
    assert state.model is None
    assert "SystemExit" in state.reason


def test_a_line_that_cannot_be_written_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread goes on: else all that log would wait for it as soon as enough lines have come together."""
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr("sys.stderr", err := io.StringIO())
    deep: list[Any] = []
    for _ in range(100_000):  # a RecursionError, which Python's handlers hand on
        deep = [deep]
    level = logging.root.level
    try:
        with logs.as_json():
            logging.getLogger("test").info("first", extra={"deep": deep})
            logging.getLogger("test").info("second")
            until(lambda: "second" in err.getvalue())
    finally:
        logging.root.setLevel(level)


@pytest.mark.parametrize("error", ["RuntimeError('planted')", "SystemExit('planted')"])
def test_the_process_ends_when_its_http_server_does(error: str) -> None:
    """With status 1 and one line, so that whoever supervises it starts another; it would answer nobody."""
    done = subprocess.run(
        [sys.executable, "-c", BROKEN.format(error=error), str(free_port())],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "cepo-cerebras: the HTTP server has failed; the log says where"
    assert "planted" not in done.stderr
