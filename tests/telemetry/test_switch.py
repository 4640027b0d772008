"""When requests are traced: with OpenTelemetry's variables, or a tracer provider of the program's. Else: no import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from support.otlp import receiving
from support.ports import nobody_listens

from optillm_cerebras_cepo.simulator import Simulator
from optillm_cerebras_cepo.telemetry import switch

PROGRAM = Path(__file__).with_name("program.py")
ENDPOINT, TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
EXPORTER, DISABLED = "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"
SOMEWHERE = {ENDPOINT: "http://127.0.0.1:4318"}
SPANS = ["chat llama-3.3-70b", "direct", "invoke_agent cepo_cerebras"]


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        ({}, ()),
        (SOMEWHERE, ("otlp",)),
        ({TRACES_ENDPOINT: "http://127.0.0.1:4318/v1/traces"}, ("otlp",)),
        ({EXPORTER: "otlp"}, ("otlp",)),
        ({EXPORTER: "console, otlp"}, ("console", "otlp")),
        ({EXPORTER: "console", **SOMEWHERE}, ("console",)),
        ({EXPORTER: "none", **SOMEWHERE}, ()),
        ({EXPORTER: "", ENDPOINT: ""}, ()),
        ({DISABLED: "true", **SOMEWHERE}, ()),
        ({DISABLED: "TRUE", EXPORTER: "otlp"}, ()),
        ({DISABLED: "false", **SOMEWHERE}, ("otlp",)),
        ({"OTEL_SERVICE_NAME": "a", "OTEL_METRICS_EXPORTER": "otlp"}, ()),
    ],
    ids=str,
)
def test_the_variables_name_the_exporters(environ: dict[str, str], names: tuple[str, ...]) -> None:
    """As OpenTelemetry's specification reads them; an empty variable is none."""
    assert switch.exporters(environ) == names


class Ran:
    """The program's result and its log."""

    def __init__(self, how: str, base_url: str, environ: Mapping[str, str]) -> None:
        done = subprocess.run(
            [sys.executable, PROGRAM, how, base_url],
            env={**os.environ, "CEREBRAS_API_KEY": KEY, **environ},
            capture_output=True,
            text=True,
            check=True,
        )
        self.output, self.log = done.stdout, done.stderr
        self.said: dict[str, Any] = json.loads(done.stdout.splitlines()[0])

    @property
    def lines(self) -> list[str]:
        """The lines of the log that are about spans."""
        return [line for line in self.log.splitlines() if "span" in line.lower() or "OTEL" in line]


@pytest.fixture
def run(simulate: Callable[..., Simulator]) -> Callable[..., Ran]:
    """Run the program before a simulated API."""
    api = simulate()
    return lambda how="plain", **environ: Ran(how, api.url, environ)


@pytest.mark.parametrize(
    "environ", [{}, {EXPORTER: "none", **SOMEWHERE}, {DISABLED: "true", **SOMEWHERE}], ids=["unset", "none", "disabled"]
)
def test_off_imports_nothing(run: Callable[..., Ran], environ: dict[str, str]) -> None:
    """In a fresh process that answers a request, though OpenTelemetry is installed; the log says nothing of it."""
    ran = run(**environ)
    assert (ran.said["status"], ran.said["modules"], ran.lines) == (200, [], [])


def test_it_is_decided_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a request asks costs one look-up."""
    switch.request_tracer.cache_clear()
    assert switch.request_tracer() is None
    monkeypatch.setenv(EXPORTER, "console")
    assert switch.request_tracer() is None
    assert switch.request_tracer.cache_info().misses == 1
    switch.request_tracer.cache_clear()


@pytest.mark.parametrize("variable", [ENDPOINT, TRACES_ENDPOINT])
def test_an_endpoint_switches_it_on(run: Callable[..., Ran], variable: str) -> None:
    """Without any other variable. What is left at the end of the process is sent."""
    with receiving() as receiver:
        ran = run(**{variable: receiver.url if variable == ENDPOINT else f"{receiver.url}/v1/traces"})
        assert ran.said["status"] == 200
        assert sorted(span.name for span in receiver.spans) == SPANS
    assert ran.lines == []


def test_an_exporter_is_found_by_its_name(run: Callable[..., Ran]) -> None:
    """The console's needs no other variable."""
    ran = run(**{EXPORTER: "console"})
    assert ran.said["status"] == 200
    assert all(f'"name": "{name}"' in ran.output for name in SPANS)


def test_missing_packages_are_named(run: Callable[..., Ran]) -> None:
    """In one line of the log, and the request is answered."""
    ran = run("missing", **SOMEWHERE)
    assert ran.said["status"] == 200
    (line,) = ran.lines
    assert line.endswith("is not installed; run pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http")


@pytest.mark.parametrize(
    ("environ", "package"),
    [
        ({EXPORTER: "zipkin"}, "opentelemetry-exporter-zipkin"),
        ({**SOMEWHERE, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "opentelemetry-exporter-otlp-proto-grpc"),
    ],
    ids=["zipkin", "grpc"],
)
def test_a_missing_exporter_is_named(run: Callable[..., Ran], environ: dict[str, str], package: str) -> None:
    """In one line of the log, and the request is answered."""
    ran = run(**environ)
    assert ran.said["status"] == 200
    (line,) = ran.lines
    assert line.endswith(f"{package} is not installed; run pip install {package}")


@pytest.mark.parametrize(
    "environ",
    [
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "smoke-signals"},
        {"OTEL_BSP_MAX_QUEUE_SIZE": "-1"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "a=b,Authorization: Bearer secret"},
    ],
    ids=["protocol", "queue", "headers"],
)
def test_an_invalid_variable_costs_no_answer(run: Callable[..., Ran], environ: dict[str, str]) -> None:
    """One line of the log says where to look, and quotes no variable."""
    ran = run(**SOMEWHERE, **environ)
    assert ran.said["status"] == 200
    assert "secret" not in ran.log + ran.output
    (line,) = ran.lines
    assert line.endswith("OpenTelemetry cannot be set up (ValueError); check the OTEL_ variables")


@pytest.mark.parametrize("how", ["early", "late"])
def test_a_programs_own_provider_is_used(run: Callable[..., Ran], how: str) -> None:
    """Without a variable, whether it was there before the plugin or came after it."""
    ran = run(how)
    assert (ran.said["status"], sorted(ran.said["spans"]), ran.lines) == (200, SPANS, [])


def test_nothing_is_configured_twice(run: Callable[..., Ran]) -> None:
    """With a tracer provider and the variables: the provider alone has the spans."""
    with nobody_listens() as nowhere:
        ran = run("early", **{ENDPOINT: nowhere})
    assert (sorted(ran.said["spans"]), ran.lines) == (SPANS, [])
    assert not [name for name in ran.said["modules"] if "otlp" in name]


def test_a_programs_own_provider_is_switched_off_too(run: Callable[..., Ran]) -> None:
    """By the variable that switches all of OpenTelemetry off."""
    assert run("early", **{DISABLED: "true"}).said["spans"] == []
