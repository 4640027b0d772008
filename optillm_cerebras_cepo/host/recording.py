"""What is recorded of one request: OptiLLM's conversation log, a trace, a live trace in the stream."""

from __future__ import annotations

from collections.abc import Callable

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.core.events import Event, Observer
from optillm_cerebras_cepo.host import optillm, responses
from optillm_cerebras_cepo.host.conversation_log import LogEntry
from optillm_cerebras_cepo.host.execution import ContentDelta, TraceEntry, Update
from optillm_cerebras_cepo.llm.metering import CallRecorder
from optillm_cerebras_cepo.session import RequestHooks, RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.trace.folder import TraceFolder
from optillm_cerebras_cepo.trace.recorder import Texts, TraceRecorder
from optillm_cerebras_cepo.trace.store import TraceStore


class Recording:
    """Records of one request, made in its context.

    Args:
        settings: say which traces there are.
        request_id: the sidecar's id of the request; None without one.
        streams: whether the reply is a stream; OptiLLM writes the log's entries of all others.
        store: where the trace is stored if the settings name no folder; None: nowhere.

    """

    def __init__(
        self, settings: Settings, request_id: str | None, streams: bool, store: TraceStore | None = None
    ) -> None:
        found = optillm.log_entry()
        self._entry = LogEntry(*found, hold=streams) if found else None
        self._settings = settings
        self._request_id = request_id
        self._streams = streams
        self._store = TraceFolder(settings.trace_dir) if settings.trace_dir else store
        self._trace = TraceRecorder(request_id, texts="all" if settings.trace_text else "none")
        self._traces = [self._trace] if self._store else []

    def hooks(self, observe: Observer, publish: Callable[[Update], None]) -> RequestHooks:
        """Return what is informed of the request: the records, this observer, and the stream.

        Args:
            observe: observer of events.
            publish: is given the parts of the answer, and the entries of the live trace.

        """
        if not self._streams:
            return RequestHooks(self._observer(observe), None, self._recorder)
        if self._settings.live_trace != "off":
            texts: Texts = "replies" if self._settings.live_trace == "replies" else "none"
            live = TraceRecorder(self._request_id, texts=texts, publish=lambda entry: publish(TraceEntry(entry)))
            self._traces.append(live)
        return RequestHooks(self._observer(observe), lambda delta: publish(ContentDelta(delta)), self._recorder)

    def _observer(self, observe: Observer) -> Observer:
        """Return an observer that also records each event."""
        if not self._traces:
            return observe
        observers = [*(trace.observe for trace in self._traces), observe]

        def all_of_them(event: Event) -> None:
            for observer in observers:
                observer(event)

        return all_of_them

    @property
    def _recorder(self) -> CallRecorder | None:
        """What is told of each call; None if nothing is recorded."""
        return self._begin if self._entry or self._traces else None

    def finish(self, result: RequestResult | CepoError) -> None:
        """Write what was recorded, with the result of the request."""
        if self._entry and self._streams:
            if isinstance(result, CepoError):
                self._entry.finish(None, result.message)
            else:
                self._entry.finish(responses.full(result), None)
        if self._store:
            self._store.write(self._trace.finish(*responses.ended(result)))

    def _begin(self, request: ChatRequest) -> Callable[[Completion | CepoError, float], None]:
        ends = [trace.begin(request) for trace in self._traces]

        def end(result: Completion | CepoError, seconds: float) -> None:
            if self._entry:
                self._entry.record(request, result)
            for trace_end in ends:
                trace_end(result, seconds)

        return end
