"""The caller's trace is continued, and nobody else is told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import baggage
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id
from support.spans import Spans, attributes

from optillm_cerebras_cepo.simulator import Simulator
from optillm_cerebras_cepo.telemetry.spans import tracer_of

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEADERS = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1,other=2"}
DIRECT = {"cepo_cerebras_effort": "none"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_callers_trace_is_continued(
    serve: Any, simulate: Callable[..., Simulator], spans: Spans, stream: bool
) -> None:
    """By all spans of the request, whichever thread works on it."""
    serve(simulate())(headers=HEADERS, **DIRECT, stream=stream).get_data()
    assert {format_trace_id(span.context.trace_id) for span in spans.all} == {TRACE}
    assert {span.context.trace_state.to_header() for span in spans.all} == {"vendor=1,other=2"}
    assert spans.root.kind is SpanKind.SERVER
    assert spans.root.parent is not None
    assert format_span_id(spans.root.parent.span_id) == CALLER
    assert spans.root.parent.is_remote


@pytest.mark.parametrize("given", ["", "00", f"00-{TRACE}-{CALLER}", f"00-{'0' * 32}-{CALLER}-01", "x" * 5000, "ü"])
def test_a_header_that_is_none_starts_a_trace(
    serve: Any, simulate: Callable[..., Simulator], spans: Spans, given: str
) -> None:
    """And costs no answer."""
    assert serve(simulate())(headers={"traceparent": given}, **DIRECT).status_code == 200
    assert spans.root.parent is None
    assert spans.root.kind is SpanKind.SERVER


class Baggage(SpanProcessor):
    """Copies an entry of the caller's baggage to each span, as processors of OpenTelemetry's contributors do."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Copy it."""
        span.set_attribute("tenant", str(baggage.get_baggage("tenant", parent_context)))


def test_baggage_is_in_each_spans_context(
    serve: Any, simulate: Callable[..., Simulator], provider: TracerProvider, spans: Spans
) -> None:
    """For processors that read it."""
    provider.add_span_processor(Baggage())
    serve(simulate())(headers={"baggage": "tenant=red"}, **DIRECT)
    assert [attributes(span)["tenant"] for span in spans.all] == ["red"] * 3


def test_no_header_of_a_caller_is_sent_to_the_api(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """Nor any of ours: the API belongs to somebody else."""
    api = simulate()
    serve(api)(headers={**HEADERS, "baggage": "tenant=red"}, **DIRECT)
    assert len(spans.all) == 3
    (call,) = api.chat_calls
    assert not {"traceparent", "tracestate", "baggage"} & call.headers.keys()


def test_a_span_of_this_process_is_the_parent(
    serve: Any, simulate: Callable[..., Simulator], provider: TracerProvider, spans: Spans
) -> None:
    """As that of an instrumented Flask, which has continued the caller's trace itself."""
    ask = serve(simulate())
    with tracer_of(provider).start_as_current_span("POST /v1/chat/completions", kind=SpanKind.SERVER) as flask_span:
        assert ask(headers=HEADERS, **DIRECT).status_code == 200
    (ours,) = spans.named("invoke_agent cepo_cerebras")
    assert isinstance(flask_span, ReadableSpan)
    assert ours.parent == flask_span.context
    assert ours.kind is SpanKind.INTERNAL


def test_no_span_stays_current(serve: Any, simulate: Callable[..., Simulator], spans: Spans) -> None:
    """A request leaves its thread as it was."""
    from opentelemetry.trace import INVALID_SPAN, get_current_span

    serve(simulate())(headers=HEADERS, **DIRECT)
    assert get_current_span() is INVALID_SPAN
    assert len(spans.all) == 3
