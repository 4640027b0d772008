"""What is recorded of one request: OptiLLM's conversation log, a trace, a live trace in the stream, and spans."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import flask

from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.core.chat import ChatRequest, Completion
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.core.events import Event, Observer
from optillm_cerebras_cepo.host import optillm, responses
from optillm_cerebras_cepo.host.conversation_log import LogEntry
from optillm_cerebras_cepo.host.execution import ContentDelta, TraceEntry, Update
from optillm_cerebras_cepo.llm.metering import CallRecorder
from optillm_cerebras_cepo.session import RequestHooks, RequestResult
from optillm_cerebras_cepo.telemetry.switch import request_tracer
from optillm_cerebras_cepo.trace.folder import TraceFolder
from optillm_cerebras_cepo.trace.recorder import Texts, TraceRecorder
from optillm_cerebras_cepo.trace.store import TraceStore

if TYPE_CHECKING:
    from optillm_cerebras_cepo.telemetry.spans import RequestSpans


class Recording:
    """Records of one request, made in its context.

    Args:
        request: its settings say which traces there are. OptiLLM writes the log's entries of replies without a stream.
        address: the API's base URL.
        request_id: the sidecar's id of the request; None without one.
        store: where the trace is stored if the settings name no folder; None: nowhere.

    """

    def __init__(
        self, request: CepoRequest, address: str, request_id: str | None = None, store: TraceStore | None = None
    ) -> None:
        found = optillm.log_entry()
        settings, streams = request.settings, request.parameters.stream
        self._entry = LogEntry(*found, hold=streams) if found else None
        self._settings = settings
        self._request_id = request_id
        self._streams = streams
        self._store = TraceFolder(settings.trace_dir) if settings.trace_dir else store
        self._trace = TraceRecorder(request_id, texts="all" if settings.trace_text else "none")
        self._records: list[TraceRecorder | RequestSpans] = [self._trace] if self._store else []
        self._spans: RequestSpans | None = None
        self._start_spans: Callable[[], RequestSpans | None] | None = None
        if tracer := request_tracer():
            self._start_spans = partial(tracer.begin, tracer.parent(_headers()), request, address, request_id)

    def hooks(self, observe: Observer, publish: Callable[[Update], None]) -> RequestHooks:
        """Return what is informed of the request: the records, this observer, and the stream.

        Args:
            observe: observer of events.
            publish: is given the parts of the answer, and the entries of the live trace.

        """
        if self._start_spans and (spans := self._start_spans()):
            self._spans = spans
            self._records.append(spans)
        if not self._streams:
            return RequestHooks(self._observer(observe), None, self._recorder)
        if self._settings.live_trace != "off":
            texts: Texts = "replies" if self._settings.live_trace == "replies" else "none"
            live = TraceRecorder(self._request_id, texts=texts, publish=lambda entry: publish(TraceEntry(entry)))
            self._records.append(live)
        return RequestHooks(self._observer(observe), lambda delta: publish(ContentDelta(delta)), self._recorder)

    def _observer(self, observe: Observer) -> Observer:
        """Return an observer that also records each event."""
        if not self._records:
            return observe
        observers = [*(record.observe for record in self._records), observe]

        def all_of_them(event: Event) -> None:
            for observer in observers:
                observer(event)

        return all_of_them

    @property
    def _recorder(self) -> CallRecorder | None:
        """What is told of each call; None if nothing is recorded."""
        return self._begin if self._entry or self._records else None

    def finish(self, result: RequestResult | CepoError) -> None:
        """Write what was recorded, with the result of the request."""
        if self._spans:
            self._spans.finish(result)
        if self._entry and self._streams:
            if isinstance(result, CepoError):
                self._entry.finish(None, result.message)
            else:
                self._entry.finish(responses.full(result), None)
        if self._store:
            self._store.write(self._trace.finish(*responses.ended(result)))

    def _begin(self, request: ChatRequest) -> Callable[[Completion | CepoError, float], None]:
        ends = [record.begin(request) for record in self._records]

        def end(result: Completion | CepoError, seconds: float) -> None:
            if self._entry:
                self._entry.record(request, result)
            for record_end in ends:
                record_end(result, seconds)

        return end


def _headers() -> dict[str, str]:
    """Return the current request's headers with lower-case names; none where OptiLLM runs us outside of its context."""
    return {name.lower(): value for name, value in flask.request.headers} if flask.has_request_context() else {}
