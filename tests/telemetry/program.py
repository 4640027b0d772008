"""A program that embeds OptiLLM's application: it answers one request, and prints what came of it as JSON.

Usage: program.py HOW BASE_URL, with one of these for HOW: `plain`; `missing`: OpenTelemetry cannot be imported; `early`
or `late`: the program has a tracer provider of its own, before or after the plugin is loaded.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from optillm_cerebras_cepo.host.bootstrap import leave_out


def configured() -> Any:
    """Give this process a tracer provider; return the exporter that keeps its spans."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


def main(how: str, base_url: str) -> None:
    """Answer one direct request."""
    if how == "missing":
        sys.modules["opentelemetry"] = None  # type: ignore[assignment]
    kept = configured() if how == "early" else None
    leave_out({"cepo_cerebras"})  # their import takes a second
    import optillm.server as server

    from optillm_cerebras_cepo.host import plugin

    plugin.register()
    server.plugin_approaches[plugin.SLUG] = plugin.run
    server.server_config.update(base_url=base_url, approach=plugin.SLUG)
    kept = configured() if how == "late" else kept
    messages = [{"role": "user", "content": "What is 6 times 7?"}]
    body = {"model": "any", "messages": messages, "cepo_cerebras_effort": "none"}
    response = server.app.test_client().post("/v1/chat/completions", json=body)
    found = {
        "status": response.status_code,
        "modules": sorted(name for name, module in sys.modules.items() if module and name.startswith("opentelemetry")),
        "spans": [span.name for span in kept.get_finished_spans()] if kept else [],
    }
    print(json.dumps(found), flush=True)
    if export := sys.modules.get("optillm_cerebras_cepo.telemetry.export"):
        vars(export)["FINAL_SECONDS"] = 60.0  # for a machine under load


how, base_url = sys.argv[1:]
del sys.argv[1:]  # OptiLLM's flags
main(how, base_url)
