"""What Prometheus is told: requests, calls by step and status, tokens, and where the time goes."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.events import Called, Event, Waits
from optillm_cerebras_cepo.runtime import Solved

CONTENT_TYPE = CONTENT_TYPE_LATEST
# Seconds: a direct call is a second, a planned answer a minute, and a small limit makes it many.
BOUNDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)


class Metrics:
    """One registry, and what goes into it.

    Args:
        in_flight: how many questions are in the house now.

    """

    def __init__(self, in_flight: Callable[[], int]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a time beside each figure, which Prometheus does not need
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        registry = self._registry
        self._requests = Counter(
            "cepo_cerebras_requests",
            "HTTP requests answered",
            ["path", "approach", "effort", "status"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "cepo_cerebras_request_seconds",
            "Seconds from a question to the end of its reply",
            ["effort"],
            buckets=BOUNDS,
            registry=registry,
        )
        self._calls = Counter("cepo_cerebras_calls", "Calls to the Cerebras API", ["step", "status"], registry=registry)
        self._tokens = Counter("cepo_cerebras_tokens", "Tokens of whole replies", ["step", "kind"], registry=registry)
        self._step_seconds = Histogram(
            "cepo_cerebras_call_seconds", "Seconds of a call", ["step"], buckets=BOUNDS, registry=registry
        )
        self._waiting = Counter(
            "cepo_cerebras_waiting_seconds",
            "Seconds that calls were told to wait",
            registry=registry,
        )
        self._degraded = Counter("cepo_cerebras_degraded", "Answers that had to leave something out", registry=registry)
        Gauge("cepo_cerebras_requests_in_flight", "Questions in the house", registry=registry).set_function(in_flight)
        Gauge("cepo_cerebras_info", "What runs", ["version"], registry=registry).labels(__version__).set(1)

    def heard(self, event: Event) -> None:
        """Count what happened to a request's calls."""
        match event:
            case Called():
                step = event.label.step.value
                self._calls.labels(step, str(event.error.status) if event.error else "200").inc()
                self._step_seconds.labels(step).observe(event.seconds)
                if event.usage:
                    self._tokens.labels(step, "prompt").inc(event.usage.prompt_tokens or 0)
                    self._tokens.labels(step, "completion").inc(event.usage.completion_tokens or 0)
            case Waits():
                self._waiting.inc(event.seconds)

    def ended(self, result: Solved | CepoError) -> None:
        """Count an answer that left something out."""
        if isinstance(result, Solved) and result.degraded:
            self._degraded.inc()

    def answered(self, path: str, approach: str, effort: str, status: int, seconds: float) -> None:
        """Count a request. The path is one of the server's own, or `other`: a client's would fill the memory."""
        self._requests.labels(path, approach, effort, str(status)).inc()
        if approach:
            self._request_seconds.labels(effort).observe(seconds)

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
