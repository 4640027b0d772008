"""What is recorded of HTTP requests: one for the access log, all of them in Prometheus metrics."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.core.errors import CepoError, Ended
from optillm_cerebras_cepo.core.events import CallDelayed, CallFinished, CallHedged, Event
from optillm_cerebras_cepo.host.responses import HostError, counts
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.trace.store import TraceStore

CONTENT_TYPE = CONTENT_TYPE_LATEST
BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)  # s; a direct call takes 1, a planned answer 60

REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
LOGGED_PATH = re.compile(r"[ -~]{1,200}")
LOGGED_METHOD = re.compile(r"[A-Z]{1,20}")


class Metrics:
    """The metrics of one server.

    Args:
        in_flight: returns the number of chat requests in progress.
        waiting: returns how many of these wait until another request ends.
        ready: returns whether the sidecar can answer.

    """

    def __init__(
        self,
        in_flight: Callable[[], int],
        waiting: Callable[[], int] = lambda: 0,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
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
        self._errors = counter(
            "cepo_cerebras_errors", "Chat requests that ended with an error, also in a stream", ["code", "status"]
        )
        self._calls = counter("cepo_cerebras_calls", "Calls to the Cerebras API", ["step", "status"])
        self._hedged = counter("cepo_cerebras_hedged_calls", "Second calls for calls later than usual", ["step"])
        self._tokens = counter("cepo_cerebras_tokens", "Tokens of completed calls", ["step", "kind"])
        self._call_seconds = seconds("cepo_cerebras_call_seconds", "Seconds of a call", ["step"])
        self._waits = counter("cepo_cerebras_waits", "Waits of calls for a rate limit or before a retry", ["reason"])
        self._waiting = counter(
            "cepo_cerebras_waiting_seconds", "Seconds that calls waited for a rate limit or before a retry", ["reason"]
        )
        self._cost = counter("cepo_cerebras_cost_dollars", "US dollars of requests, where prices are known", ["effort"])
        self._degraded = counter("cepo_cerebras_degraded", "Answers that left something out")
        gauge("cepo_cerebras_requests_in_flight", "Chat requests in progress").set_function(in_flight)
        gauge("cepo_cerebras_requests_waiting", "Planned requests that wait until another ends").set_function(waiting)
        gauge("cepo_cerebras_ready", "1 if the sidecar can answer, as at /ready; else 0").set_function(ready)
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
            case CallHedged():
                self._hedged.labels(event.label.step.value).inc()
            case CallDelayed():
                reason = event.error.code or event.error.type
                self._waits.labels(reason).inc()
                self._waiting.labels(reason).inc(event.seconds)

    def count_degraded(self) -> None:
        """Count an answer that left something out."""
        self._degraded.inc()

    def count_cost(self, effort: str, dollars: float) -> None:
        """Count what a request cost."""
        self._cost.labels(effort).inc(dollars)

    def count_response(self, path: str, approach: str, effort: str, status: int, seconds: float) -> None:
        """Count a response. `path` must be one of the server's own or `other`: each new value takes memory."""
        self._requests.labels(path, approach, effort, str(status)).inc()
        if approach:
            self._request_seconds.labels(effort).observe(seconds)

    def count_error(self, code: str, status: int) -> None:
        """Count a chat request that ended with an error. `count_response` has status 200 if its stream had begun."""
        self._errors.labels(code, str(status)).inc()

    def render(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class RequestRecord:
    """A request's id, status, size, duration and result. It is the RequestObserver of `host.execution`."""

    def __init__(self, environ: Mapping[str, Any], metrics: Metrics, traces: TraceStore | None = None) -> None:
        given_id = environ.get("HTTP_X_REQUEST_ID", "")
        self.request_id = given_id if REQUEST_ID.fullmatch(given_id) else uuid.uuid4().hex
        self.method = str(environ.get("REQUEST_METHOD", ""))
        self.path = str(environ.get("PATH_INFO", ""))
        self.client = str(environ.get("REMOTE_ADDR", ""))
        self.status = 0
        self.sent_bytes = 0  # of the body
        self.traces = traces
        self.hung_up = True  # until the whole body was read by the server
        self.approach = ""
        self.effort = ""
        self._error_status = 0
        self._result: dict[str, Any] = {}
        self._metrics = metrics
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._is_running = False  # on a thread of its own
        self._when_ended: Callable[[], None] | None = None

    @property
    def seconds(self) -> float:
        """Seconds since the request arrived."""
        return time.monotonic() - self._started

    @property
    def error(self) -> tuple[str, int] | None:
        """Code and status of the error that ended the request; None if there is none."""
        if code := self._result.get("error"):
            return code, self._error_status
        # OptiLLM's own errors, of other approaches, reach the client only.
        return (str(HostError.code), self.status) if self.status >= 400 else None

    def on_approach(self, approach: str) -> None:
        """Store the requested approach, which is one that is served."""
        self.approach = approach

    def on_start(self, effort: str) -> None:
        """Store the effort of the answer."""
        self.effort = effort

    def on_background(self) -> None:
        """Note that `on_end` is still to come when the response is closed."""
        self._is_running = True

    def on_event(self, event: Event) -> None:
        """Count a progress event."""
        self._metrics.count_event(event)

    def on_end(self, result: RequestResult | CepoError) -> None:
        """Store what the answer cost, or its error. Not the result itself: it would keep the request in memory."""
        if isinstance(result, CepoError):
            cost, self._error_status = result.spent.get("cost"), result.status
            self._result = {"error": result.code or result.type, **result.spent}
        else:
            degraded = len(result.degraded)
            cost, spent = result.cost, counts(result.ledger.total)
            self._result = {"model": result.model, **spent, "cost": cost, "degraded": degraded}
            if degraded:
                self._metrics.count_degraded()
        if cost is not None:
            self._metrics.count_cost(self.effort, cost)
        with self._lock:
            self._is_running = False
            callback, self._when_ended = self._when_ended, None
        if callback:
            callback()

    def close(self, finish: Callable[[], None]) -> None:
        """Call `finish` as soon as the execution has ended too: only then it is known what the request has spent."""
        with self._lock:
            if self._is_running:
                self._when_ended = finish
                return
        finish()

    def note_hang_up(self) -> None:
        """If the client hung up, set status 499 and the error `ended`, whatever status was sent."""
        if self.hung_up or self._result.get("error") == Ended.code:
            self.hung_up = True
            self.status = Ended.status
            self._error_status = self._error_status or Ended.status
            self._result = {"error": Ended.code, **self._result}

    def log_fields(self) -> dict[str, Any]:
        """Return the fields of the access log: no query, no header, no text of the request or the response."""
        unprintable = "(unprintable)"
        optional = {"hung_up": self.hung_up, "approach": self.approach, "effort": self.effort}
        return {
            "request_id": self.request_id,
            "client": self.client,
            "method": self.method if LOGGED_METHOD.fullmatch(self.method) else unprintable,
            "path": self.path if LOGGED_PATH.fullmatch(self.path) else unprintable,
            "status": self.status,
            "seconds": round(self.seconds, 4),
            "bytes": self.sent_bytes,
            **{name: value for name, value in optional.items() if value},
            **self._result,
        }
