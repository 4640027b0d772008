"""OptiLLM's real app in this process, whose requests leave their spans in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optillm.server as server
import pytest
from conftest import KEY
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.spans import Spans
from werkzeug.test import TestResponse

from optillm_cerebras_cepo.host import recording
from optillm_cerebras_cepo.simulator.server import Simulator
from optillm_cerebras_cepo.telemetry.spans import RequestTracer, tracer_of

Ask = Callable[..., TestResponse]


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> TracerProvider:
    """The tracer provider that requests use; without an exporter."""
    provider = TracerProvider(shutdown_on_exit=False)
    tracer = RequestTracer(tracer_of(provider))
    monkeypatch.setattr(recording, "request_tracer", lambda: tracer)
    return provider


@pytest.fixture
def spans(provider: TracerProvider) -> Spans:
    """All spans that have ended."""
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Spans(exporter.get_finished_spans)


@pytest.fixture
def serve(plugins: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[Simulator], Ask]:
    """Point OptiLLM's app at an API, with ours as its approach; returns what posts a body to it."""

    def start(api: Simulator) -> Ask:
        monkeypatch.setenv("CEREBRAS_API_KEY", KEY)
        monkeypatch.setitem(server.server_config, "base_url", api.url)
        monkeypatch.setitem(server.server_config, "approach", "cepo_cerebras")
        client = server.app.test_client()

        def ask(headers: dict[str, str] | None = None, environ: dict[str, Any] | None = None, **body: Any) -> Any:
            messages = [{"role": "user", "content": "What is 6 times 7?"}]
            sent = {"model": "any", "messages": messages, **body}
            return client.post("/v1/chat/completions", json=sent, headers=headers, environ_overrides=environ)

        return ask

    return start
