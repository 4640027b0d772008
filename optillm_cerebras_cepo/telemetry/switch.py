"""Whether requests are traced with OpenTelemetry, which is imported in that case only.

An embedding program's own tracer provider comes first, as `opentelemetry-instrument` sets one. Otherwise the `OTEL_`
variables decide.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from optillm_cerebras_cepo.telemetry.spans import RequestTracer

DISABLED = "OTEL_SDK_DISABLED"
EXPORTER = "OTEL_TRACES_EXPORTER"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
# Those of the extra `otel`. The extra itself would also install all that OptiLLM depends on.
PACKAGES = "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
logger = logging.getLogger("optillm_cerebras_cepo")


def exporters(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the exporters that the variables ask for; none if they do not ask for traces."""
    names = tuple(filter(None, map(str.strip, environ.get(EXPORTER, "").split(","))))
    if not names and any(environ.get(name) for name in ENDPOINTS):
        names = ("otlp",)
    return () if is_disabled(environ) or "none" in names else names


def is_disabled(environ: Mapping[str, str]) -> bool:
    """Return whether the variables switch OpenTelemetry off, whoever has configured it."""
    return environ.get(DISABLED, "").strip().lower() == "true"


@cache
def request_tracer() -> RequestTracer | None:
    """Return what traces requests; None if they are not traced. Decided once, by the first call."""
    names = exporters(os.environ)
    try:
        tracer = None if is_disabled(os.environ) else _configured() or (_own(names) if names else None)
        if tracer is None:
            return None
        from optillm_cerebras_cepo.telemetry.spans import RequestTracer

        return RequestTracer(tracer)
    except ImportError as error:
        logger.warning(
            "cepo_cerebras: no spans are sent: the OTEL_ variables ask for them, but %s is not installed; "
            "run pip install %s",
            error.name,
            error.name if str(error.name).startswith("opentelemetry-") else PACKAGES,
        )
    except Exception as error:  # its message may quote a variable with a key
        logger.warning(
            "cepo_cerebras: no spans are sent: OpenTelemetry cannot be set up (%s); check the OTEL_ variables",
            type(error).__name__,
        )
    return None


def switch_on() -> None:
    """Set up at the start what the variables ask for, so that no request waits for the import."""
    if exporters(os.environ):
        request_tracer()


def _configured() -> Tracer | None:
    """Return a tracer of the process's own tracer provider; None without one."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    from opentelemetry import trace

    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    from optillm_cerebras_cepo.telemetry.spans import tracer_of

    return tracer_of(trace.get_tracer_provider())


def _own(names: tuple[str, ...]) -> Tracer:
    """Return a tracer of a tracer provider of ours, which exports to these exporters.

    Raises:
        ImportError: a package is not installed.

    """
    from optillm_cerebras_cepo.telemetry.export import tracer_provider
    from optillm_cerebras_cepo.telemetry.spans import tracer_of

    return tracer_of(tracer_provider(names, os.environ))
