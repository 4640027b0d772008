"""Export of spans by the `OTEL_` variables: to any collector, off the way of every request.

Spans wait in a bounded queue, from which a thread sends them. If the collector cannot be reached, they are lost, and
the log says so once in a while.
"""

from __future__ import annotations

import atexit
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points

from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from optillm_cerebras_cepo import __version__

SERVICE = "cepo-cerebras"
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
TRANSPORTS = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}  # entry points by protocol
FINAL_SECONDS = 1.0  # at the end of the process, for the spans that have not been sent
REPORT_EVERY = 600.0  # seconds between two warnings
# They log each attempt and each span that is dropped.
NOISY = ("opentelemetry.exporter", "opentelemetry.sdk._shared_internal", "opentelemetry.sdk.trace.export")
QUOTING = "opentelemetry.util.re"  # logs a header that it cannot read, which may be a key
HEADERS = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
logger = logging.getLogger("optillm_cerebras_cepo")


def tracer_provider(names: Sequence[str], environ: Mapping[str, str]) -> TracerProvider:
    """Return a tracer provider that exports to the exporters of these names, and set it up to end with the process.

    It is not the process's own: an embedding program may still configure that one.

    Raises:
        ImportError: an exporter is not installed.
        ValueError: a variable has an invalid value.

    """
    quiet = logging.root.level >= logging.INFO
    for name in NOISY if quiet else ():
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger(QUOTING).setLevel(logging.CRITICAL)
    headers = [header for name in HEADERS for header in environ.get(name, "").split(",")]
    if any(header.strip() and "=" not in header for header in headers):
        raise ValueError("a header without a value")
    exporting = [ReportedExporter(_exporter(name, environ)) for name in names]
    # The processor's own end would wait for up to 30 s.
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    for exporter in exporting:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    atexit.register(Ending(provider, exporting).run)
    return provider


def _exporter(name: str, environ: Mapping[str, str]) -> SpanExporter:
    if name == "otlp":
        protocol = next((environ[variable] for variable in PROTOCOLS if environ.get(variable)), "http/protobuf")
        if protocol not in TRANSPORTS:
            raise ValueError("no such OTLP protocol")
        name = TRANSPORTS[protocol]
    found = [*entry_points(group="opentelemetry_traces_exporter", name=name)]
    if not found:
        package = f"opentelemetry-exporter-{name.replace('_', '-')}"
        raise ImportError("the exporter is not installed", name=package)
    exporter: SpanExporter = found[0].load()()
    return exporter


def _resource() -> Resource:
    """Return what the variables say of this process, with our names where they say nothing."""
    found = Resource.create()
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        found = found.merge(Resource({SERVICE_NAME: SERVICE}))
    return Resource({SERVICE_VERSION: __version__}).merge(found)


class ReportedExporter(SpanExporter):
    """Exporter that logs when spans cannot be exported, and when they can again.

    Args:
        inner: exports them.
        clock: returns seconds, monotonic.

    Attributes:
        failing: whether the last export failed.

    """

    def __init__(self, inner: SpanExporter, clock: Callable[[], float] = time.monotonic) -> None:
        self.failing = False
        self._inner = inner
        self._clock = clock
        self._reported_at = -math.inf
        self._is_reported = False  # the failure that lasts

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export these spans; never raise."""
        try:
            result = self._inner.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        self.failing = result is not SpanExportResult.SUCCESS
        if self.failing:
            self._report_failure()
        elif self._is_reported:
            self._is_reported = False
            logger.info("cepo_cerebras: spans are exported again")
        return result

    def shutdown(self) -> None:
        """End what the exporter does."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what the exporter has kept."""
        return self._inner.force_flush(timeout_millis)

    def _report_failure(self) -> None:
        now = self._clock()
        if now >= self._reported_at + REPORT_EVERY:
            self._reported_at, self._is_reported = now, True
            logger.warning(
                "cepo_cerebras: spans cannot be exported and are lost; requests are answered all the same. "
                "Check OTEL_EXPORTER_OTLP_ENDPOINT and the collector."
            )


class Ending:
    """The end of a tracer provider: what is left is sent, for at most `FINAL_SECONDS`.

    The thread exists from the beginning, because Python starts none at its end.
    """

    def __init__(self, provider: TracerProvider, exporters: Sequence[ReportedExporter]) -> None:
        self._provider = provider
        self._exporters = exporters
        self._begins = threading.Event()
        self._done = threading.Event()
        threading.Thread(target=self._wait, name="cepo-cerebras-spans", daemon=True).start()

    def run(self) -> None:
        """Send what is left, unless the last export failed."""
        self._begins.set()
        if not any(exporter.failing for exporter in self._exporters):
            self._done.wait(FINAL_SECONDS)

    def _wait(self) -> None:
        self._begins.wait()
        self._provider.shutdown()
        self._done.set()
