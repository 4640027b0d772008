"""Spans of real servers arrive at a real collector. One that is away or does not answer costs nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import KEY
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from support import web
from support.optillm_process import Server, optillm
from support.otlp import collector, collector_program, receiving, values
from support.ports import free_port, nobody_listens
from support.sidecar_process import sidecar
from support.waiting import PATIENCE, until

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.simulator import Simulator

PROGRAM = collector_program()
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "20"}  # ms
NEVER = {"OTEL_BSP_SCHEDULE_DELAY": "100000000"}
ASK = {"model": "any", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}
DIRECT = {"cepo_cerebras_effort": "none"}
SPANS = ["chat llama-3.3-70b", "direct", "invoke_agent cepo_cerebras"]
Start = Callable[..., AbstractContextManager[Server]]


def start_sidecar(api: Simulator, **environ: str) -> AbstractContextManager[Server]:
    """Run a sidecar."""
    return sidecar(environ={"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api.url, **environ})


def start_optillm(api: Simulator, **environ: str) -> AbstractContextManager[Server]:
    """Run OptiLLM itself."""
    arguments = ("--base-url", api.url, "--approach", "cepo_cerebras")
    return optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY, **environ})


def ask(server: Server | Process, **more: Any) -> httpx.Response:
    """Ask with the headers of a caller's trace."""
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1", "baggage": "tenant=red"}
    return web.post(f"{server.url}/v1/chat/completions", json={**ASK, **more}, headers=headers)


def tree(spans: Sequence[Span], parent: bytes) -> list[Any]:
    """Return the names of the spans below this one, each with those below it."""
    below = [span for span in spans if span.parent_span_id == parent]
    return sorted((span.name, *tree(spans, span.span_id)) for span in below)


def about_spans(server: Server | Process) -> list[str]:
    """Return the lines of a server's log that are about spans."""
    return [line for line in server.log.splitlines() if "span" in line.lower() or "opentelemetry" in line.lower()]


@pytest.mark.parametrize("start", [start_sidecar, start_optillm], ids=["sidecar", "optillm"])
@pytest.mark.parametrize(
    "through",
    [
        "receiver",
        pytest.param("collector", marks=pytest.mark.skipif(PROGRAM is None, reason="it is not on this system")),
    ],
)
def test_a_collector_has_the_spans(
    simulate: Callable[..., Simulator], tmp_path: Path, start: Start, through: str
) -> None:
    """Of a planned request, below its caller's span, with the resource that the variables name."""
    named = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test", **SOON}
    with receiving() as receiver:
        between = collector(PROGRAM, receiver, tmp_path) if through == "collector" and PROGRAM else nullcontext()
        with (
            between as address,
            start(simulate(), OTEL_EXPORTER_OTLP_ENDPOINT=address or receiver.url, **named) as server,
        ):
            response = ask(server)
            assert response.status_code == 200
            until(lambda: len(receiver.spans) >= 1 + 3 + 12 + 24)
            assert about_spans(server) == []
        spans, (resource, *_) = receiver.spans, receiver.resources
    call = ("chat llama-3.3-70b",)
    steps = [("execute", *[call] * 3), ("final", call), ("plan", *[call] * 3), ("review", call)]
    (request,) = tree(spans, bytes.fromhex(CALLER))
    assert request == ("invoke_agent cepo_cerebras", *[(f"candidate {number}", *steps) for number in (1, 2, 3)])
    assert {span.trace_id.hex() for span in spans} == {TRACE}
    assert {span.trace_state for span in spans} == {"vendor=1"}
    (root,) = [span for span in spans if span.name == request[0]]
    assert root.kind == Span.SPAN_KIND_SERVER
    assert values(root.attributes).get("cepo_cerebras.request_id") == response.headers.get("x-request-id")
    assert values(root.attributes)["cepo_cerebras.cost"] == response.json()["cepo_cerebras"]["cost"]
    calls = [values(span.attributes) for span in spans if span.name == call[0]]
    assert sum(one["gen_ai.usage.input_tokens"] for one in calls) == response.json()["usage"]["prompt_tokens"]
    assert (resource["service.name"], resource["service.version"]) == ("cepo-cerebras", __version__)
    assert resource["deployment.environment.name"] == "test"
    scopes = {
        (scope.scope.name, scope.scope.version, scope.schema_url)
        for sent in receiver.requests
        for of_resource in sent.resource_spans
        for scope in of_resource.scope_spans
    }
    assert scopes == {("optillm_cerebras_cepo", __version__, "https://opentelemetry.io/schemas/1.41.0")}


class Process:
    """A sidecar that the test stops.

    Args:
        api: where it asks.
        log: the file of its log.
        final_seconds: for its last spans; as much as a machine under load takes, unless that is what is tested.
        environ: its variables.

    """

    def __init__(self, api: Simulator, log: Path, final_seconds: float, environ: Mapping[str, str]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = log
        program = (
            "from optillm_cerebras_cepo.telemetry import export; from optillm_cerebras_cepo.cli.main import main; "
            f"export.FINAL_SECONDS = {final_seconds}; main(['serve', '--port', '{port}'])"
        )
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-c", program],
                env={**os.environ, "CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api.url, **environ},
                stderr=file,
            )
        until(self._is_ready, lambda: self.log)

    def _is_ready(self) -> bool:
        try:
            return web.get(f"{self.url}/ready").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self._log.read_text()

    def stop(self) -> None:
        """Send SIGTERM, and wait until it has ended well."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(PATIENCE) == 0, self.log

    def kill(self) -> None:
        """End it however it is."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def process(simulate: Callable[..., Simulator], tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start a sidecar before a simulated API."""
    started: list[Process] = []

    def start(final_seconds: float = PATIENCE, **environ: str) -> Process:
        started.append(Process(simulate(), tmp_path / "log", final_seconds, environ))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def test_what_is_left_is_sent_at_sigterm(process: Callable[..., Process]) -> None:
    """Before that nothing was sent."""
    with receiving() as receiver:
        server = process(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, **NEVER)
        assert ask(server, **DIRECT).status_code == 200
        assert receiver.spans == []
        server.stop()
        assert sorted(span.name for span in receiver.spans) == SPANS


def test_a_collector_that_is_away_costs_nothing(process: Callable[..., Process]) -> None:
    """Every request is answered, and the log has one line."""
    with nobody_listens() as nowhere:
        server = process(OTEL_EXPORTER_OTLP_ENDPOINT=nowhere, OTEL_EXPORTER_OTLP_TIMEOUT="1", **SOON)
        for _ in range(20):
            assert ask(server, **DIRECT).status_code == 200
        until(lambda: "cannot be exported" in server.log)
        assert ask(server).status_code == 200
        server.stop()
    (line,) = about_spans(server)
    assert "spans cannot be exported and are lost" in line


def test_a_collector_that_never_answers_delays_nothing(process: Callable[..., Process]) -> None:
    """While an export hangs for ever, requests are answered, and SIGTERM ends the process."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        server = process(0.1, OTEL_EXPORTER_OTLP_ENDPOINT=address, OTEL_EXPORTER_OTLP_TIMEOUT="1000000", **SOON)
        for _ in range(20):
            assert ask(server, **DIRECT).status_code == 200
        connection, _ = silent.accept()
        with connection:
            assert ask(server, **DIRECT).status_code == 200
            server.stop()
