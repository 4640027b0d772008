"""Spans of one request: the request, its candidates, their steps, and one for each call that was sent.

A call's span is made when the call has ended, with the time at which it began: a call that was never sent leaves none.
Spans of candidates and steps are started with the first of these, and end with the request, at the time of the last.
So every span that is started ends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import ref

from opentelemetry import propagate
from opentelemetry.context import Context, get_current
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, TracerProvider, get_current_span
from opentelemetry.trace import set_span_in_context as within

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label
from optillm_cerebras_cepo.core.errors import CepoError, Superseded, UnusableReply
from optillm_cerebras_cepo.core.events import (
    CallDelayed,
    CallHedged,
    CandidateRated,
    CandidatesCompared,
    Event,
    PlansCompared,
)
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.telemetry import attributes
from optillm_cerebras_cepo.telemetry.attributes import AGENT, SCHEMA, Attributes

SCOPE = "optillm_cerebras_cepo"  # name of the tracer
logger = logging.getLogger("optillm_cerebras_cepo")
_reported: dict[str, object] = {}  # names of exceptions


def tracer_of(provider: TracerProvider) -> Tracer:
    """Return our tracer of a tracer provider."""
    return provider.get_tracer(SCOPE, __version__, SCHEMA)


def _report(name: str) -> None:
    """Log the name of an exception's class, once in this process."""
    first = object()
    if _reported.setdefault(name, first) is first:  # atomic: many threads may fail at once
        logger.error("cepo_cerebras: a span is lost: OpenTelemetry raised %s", name)


@contextmanager
def _harmless() -> Iterator[None]:
    """Let no exception out: a sampler or a processor of an embedding program must cost no answer."""
    try:
        yield
    except Exception as error:
        _report(type(error).__name__)


class RequestTracer:
    """Traces requests with this tracer."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def parent(self, headers: Mapping[str, str]) -> Context:
        """Return the context that the current request continues: of this process's own span, else of its caller.

        Args:
            headers: of the HTTP request, with lower-case names.

        """
        with _harmless():
            if get_current_span().get_span_context().is_valid:
                return get_current()
            return propagate.extract(headers, Context())
        return Context()

    def begin(
        self, parent: Context, request: CepoRequest, base_url: str, request_id: str | None
    ) -> RequestSpans | None:
        """Start the span of a request; return None if it is not sampled.

        Args:
            parent: the context that `parent` returned.
            request: what is asked.
            base_url: of the API.
            request_id: the sidecar's id of the request; None without one.

        """
        with _harmless():
            caller = get_current_span(parent).get_span_context()
            is_entry = caller.is_remote or not caller.is_valid  # no other span of this process is around it
            kind = SpanKind.SERVER if is_entry else SpanKind.INTERNAL
            known = attributes.of_request(request, request_id)
            span = self._tracer.start_span(f"invoke_agent {AGENT}", parent, kind, known)
            if span.is_recording():
                return RequestSpans(self._tracer, span, parent, base_url)
            span.end()
        return None


@dataclass
class _Group:
    """A span that has others in it: the request's, a candidate's or a step's."""

    span: Span
    context: Context  # of the spans in it
    ended: int  # when the last of them ended


@dataclass
class _Thread(threading.local):
    """What is known of a thread's next call."""

    failed: Callable[[], CepoError | None] = lambda: None  # returns the error of its last call while that lives
    resent: int = 0  # how often its last call had been sent before
    resent_next: int = 0  # the same for its next call
    is_second: bool = False  # whether its next call is the second one for a late one


class RequestSpans:
    """Spans of one request, from now on. Safe for many threads, which call `observe` and `begin`.

    Times are in ns since 1970.

    Args:
        tracer: starts the spans.
        span: of the request.
        parent: the context of that span.
        base_url: of the API.

    """

    def __init__(self, tracer: Tracer, span: Span, parent: Context, base_url: str) -> None:
        self._tracer = tracer
        self._server = attributes.of_server(base_url)
        self._request = _Group(span, within(span, parent), 0)
        self._lock = threading.Lock()
        self._groups: dict[tuple[int, str], _Group] = {}  # by candidate and step; a candidate's own without a step
        self._began: dict[tuple[int, str], int] = {}  # when the first call or wait of each began
        self._has_ended = False
        self._here = _Thread()

    def observe(self, event: Event) -> None:
        """Add a progress event to the span of its step, its candidate or the request."""
        with _harmless():
            match event:
                case CallDelayed():
                    # A wait for a rate limit, before the call, has an error of its own.
                    if event.error is self._here.failed() or isinstance(event.error, UnusableReply):
                        self._here.resent_next = self._here.resent + 1
                    self._add(event.label, "wait", event.seconds, attributes.of_error(event.error))
                case CallHedged():
                    self._here.is_second = True
                    self._add(event.label, "second_call", event.seconds, {})
                case PlansCompared():
                    span = self._group(event.candidate).span
                    span.add_event("cepo_cerebras.plans_compared", attributes.of_groups(event.groups))
                case CandidatesCompared():
                    span = self._request.span
                    span.add_event("cepo_cerebras.candidates_compared", attributes.of_groups(event.groups))
                case CandidateRated():
                    if event.rating is not None:
                        self._group(event.candidate).span.set_attribute("cepo_cerebras.rating", event.rating)

    def begin(self, request: ChatRequest) -> Callable[[Completion | CepoError, float], None]:
        """Note that a call begins; what is returned makes its span when it has ended."""
        began, label, here = time.time_ns(), request.label, self._here
        self._note(label, began)
        resent, is_second = here.resent_next, here.is_second
        here.resent_next, here.is_second = 0, False

        def end(result: Completion | CepoError, _: float) -> None:
            here.resent = resent
            if isinstance(result, CepoError):
                here.failed = ref(result)
                if not result.sent:
                    return
            with _harmless():
                context = self._group(label.candidate, label.step.value).context
                ended, sent = time.time_ns(), attributes.of_call(request, resent, is_second)
                span = self._tracer.start_span(
                    f"chat {request.model}", context, SpanKind.CLIENT, self._server | sent, start_time=began
                )
                if isinstance(result, Superseded):  # cancelled, because its twin was faster: no failure
                    span.set_attribute("cepo_cerebras.superseded", True)
                elif isinstance(result, CepoError):
                    span.set_attributes(attributes.of_error(result))
                    span.set_status(_failed(result))
                else:
                    span.set_attributes(attributes.of_completion(result))
                span.end(ended)
                self._note(label, ended)

        return end

    def finish(self, result: RequestResult | CepoError) -> None:
        """End all spans of the request, which ended with this result."""
        with self._lock:
            self._has_ended = True
            groups = list(self._groups.items())
        for (candidate, step), group in groups:
            with _harmless():
                if not step and isinstance(result, RequestResult):
                    group.span.set_attribute("cepo_cerebras.chosen", candidate == result.outcome.chosen)
                group.span.end(group.ended)
        span = self._request.span
        with _harmless():
            span.set_attributes(attributes.of_result(result))
            if isinstance(result, CepoError):
                span.set_status(_failed(result))
        with _harmless():
            span.end()

    def _add(self, label: Label, name: str, seconds: float, more: Attributes) -> None:
        """Add an event to a step's span."""
        self._note(label, time.time_ns())
        span = self._group(label.candidate, label.step.value).span
        span.add_event(f"cepo_cerebras.{name}", attributes.of_seconds(seconds) | more)

    def _note(self, label: Label, now: int) -> None:
        """Note that something of this label happens now."""
        with self._lock:
            for key in ((label.candidate, ""), (label.candidate, label.step.value)):
                self._began.setdefault(key, now)
                if key in self._groups:
                    self._groups[key].ended = max(now, self._groups[key].ended)

    def _group(self, candidate: int, step: str = "") -> _Group:
        """Return the span of a candidate or a step; start it if there is none. After the end, none is started."""
        with self._lock:
            found = self._request
            if candidate:
                found = self._started((candidate, ""), f"candidate {candidate}", found)
            return self._started((candidate, step), step, found) if step else found

    def _started(self, key: tuple[int, str], name: str, parent: _Group) -> _Group:
        if key not in self._groups and not self._has_ended:
            now, known = time.time_ns(), attributes.of_group(*key)
            began = self._began.get(key, now)
            span = self._tracer.start_span(name, parent.context, attributes=known, start_time=began)
            self._groups[key] = _Group(span, within(span, parent.context), began)
        return self._groups.get(key, parent)


def _failed(error: CepoError) -> Status:
    """Return the status of a span that failed. An error's message has no key and no prompt."""
    return Status(StatusCode.ERROR, error.message)
