"""Prometheus metrics: requests, API calls by step and status, tokens, and durations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.core.events import CallDelayed, CallFinished, Event
from optillm_cerebras_cepo.session import RequestResult

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)  # s; a direct call takes 1, a planned answer 60


class Metrics:
    """The metrics of one server; `in_flight` returns the number of chat requests in progress."""

    def __init__(self, in_flight: Callable[[], int]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # Prometheus does not need them
        self._registry = registry = CollectorRegistry()
        counter, seconds = partial(Counter, registry=registry), partial(Histogram, buckets=BUCKETS, registry=registry)
        gauge = partial(Gauge, registry=registry)
        ProcessCollector(registry=registry)
        request_labels = ["path", "approach", "effort", "status"]
        self._requests = counter("cepo_cerebras_requests", "HTTP requests answered", request_labels)
        self._request_seconds = seconds(
            "cepo_cerebras_request_seconds", "Seconds from a chat request to the end of its response", ["effort"]
        )
        self._calls = counter("cepo_cerebras_calls", "Calls to the Cerebras API", ["step", "status"])
        self._tokens = counter("cepo_cerebras_tokens", "Tokens of completed calls", ["step", "kind"])
        self._call_seconds = seconds("cepo_cerebras_call_seconds", "Seconds of a call", ["step"])
        self._waiting = counter("cepo_cerebras_waiting_seconds", "Seconds that calls waited before a retry")
        self._degraded = counter("cepo_cerebras_degraded", "Answers that left something out")
        gauge("cepo_cerebras_requests_in_flight", "Chat requests in progress").set_function(in_flight)
        gauge("cepo_cerebras_info", "Version", ["version"]).labels(__version__).set(1)

    def count_event(self, event: Event) -> None:
        """Count a call or a delay; other events are not counted."""
        match event:
            case CallFinished():
                step = event.label.step.value
                self._calls.labels(step, str(event.error.status) if event.error else "200").inc()
                self._call_seconds.labels(step).observe(event.seconds)
                if event.usage:
                    self._tokens.labels(step, "prompt").inc(event.usage.prompt_tokens or 0)
                    self._tokens.labels(step, "completion").inc(event.usage.completion_tokens or 0)
            case CallDelayed():
                self._waiting.inc(event.seconds)

    def count_result(self, result: RequestResult | CepoError) -> None:
        """Count an answer that left something out."""
        if isinstance(result, RequestResult) and result.degraded:
            self._degraded.inc()

    def count_response(self, path: str, approach: str, effort: str, status: int, seconds: float) -> None:
        """Count a response. `path` must be one of the server's own or `other`: each new value takes memory."""
        self._requests.labels(path, approach, effort, str(status)).inc()
        if approach:
            self._request_seconds.labels(effort).observe(seconds)

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)
