"""Export in this process: what is logged of failures, the end, and the resource."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from support.waiting import PATIENCE

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.telemetry import export
from optillm_cerebras_cepo.telemetry.export import REPORT_EVERY, Ending, ReportedExporter, tracer_provider


class Collector(SpanExporter):
    """An exporter whose collector is away, or comes back."""

    result = SpanExportResult.FAILURE

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export nothing; fail with an exception for two spans."""
        if self.result is SpanExportResult.FAILURE and len(spans) > 1:
            raise OSError("an address with a key")
        return self.result


def test_a_failure_is_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    """And its end once; however often the collector comes and goes, and whatever the exporter raises."""
    now, inner = [0.0], Collector()
    it = ReportedExporter(inner, lambda: now[0])
    with caplog.at_level(logging.INFO, logger="optillm_cerebras_cepo"):
        for second in range(int(REPORT_EVERY)):
            now[0] = float(second)
            inner.result = SpanExportResult.SUCCESS if second % 2 else SpanExportResult.FAILURE
            assert it.export([]) is inner.result
            assert it.failing == (inner.result is SpanExportResult.FAILURE)
        inner.result, now[0] = SpanExportResult.FAILURE, REPORT_EVERY
        assert it.export([ReadableSpan(name="a"), ReadableSpan(name="b")]) is SpanExportResult.FAILURE
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "cepo_cerebras: spans cannot be exported and are lost",
        "cepo_cerebras: spans are exported again",
        "cepo_cerebras: spans cannot be exported and are lost",
    ]
    assert "an address" not in caplog.text


def test_the_end_waits_for_no_collector_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed export: if it waited, this test would not end."""
    monkeypatch.setattr(export, "FINAL_SECONDS", 1e6)
    exporter = ReportedExporter(Collector())
    exporter.export([])
    stays = threading.Event()
    ending = Ending(shutting_down(stays), [exporter])
    ending.run()
    stays.set()


def test_the_end_waits_for_a_collector_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it takes, up to `FINAL_SECONDS`."""
    monkeypatch.setattr(export, "FINAL_SECONDS", PATIENCE)
    stays, ended = threading.Event(), list[bool]()
    provider = shutting_down(stays, lambda: ended.append(True))
    ending = Ending(provider, [ReportedExporter(Collector())])
    threading.Timer(0.05, stays.set).start()
    ending.run()
    assert ended == [True]


def shutting_down(stays: threading.Event, ended: Callable[[], object] = lambda: None) -> TracerProvider:
    """Return a tracer provider whose end takes until this event."""
    provider = TracerProvider(shutdown_on_exit=False)

    def shutdown() -> None:
        stays.wait(PATIENCE)
        ended()

    provider.shutdown = shutdown  # type: ignore[method-assign]
    return provider


@pytest.mark.parametrize(
    ("environ", "service"),
    [
        ({}, "cepo-cerebras"),
        ({"OTEL_SERVICE_NAME": "mine"}, "mine"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine,service.version=7"}, "mine"),
    ],
    ids=str,
)
def test_the_service_is_named_by_the_variables(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], service: str
) -> None:
    """With our names where they name none."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    resource = tracer_provider(["console"], os.environ).resource
    assert resource.attributes["service.name"] == service
    assert resource.attributes["service.version"] == ("7" if "7" in str(environ) else __version__)
