"""What is recorded of one request, where the operator asked for it: OptiLLM's conversation log, and a trace."""

from __future__ import annotations

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.core.events import Event, Observer
from optillm_cerebras_cepo.host import optillm, responses
from optillm_cerebras_cepo.host.conversation_log import LogEntry
from optillm_cerebras_cepo.llm.metering import RecordCall
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.trace.folder import TraceFolder
from optillm_cerebras_cepo.trace.recorder import TraceRecorder


class Recording:
    """Records of one request, made in its context.

    Args:
        settings: say whether there is a trace.
        request_id: the sidecar's id of the request; None without one.
        streams: whether the reply is a stream; OptiLLM writes the log's entries of all others.

    """

    def __init__(self, settings: Settings, request_id: str | None, streams: bool) -> None:
        found = optillm.log_entry()
        self._entry = LogEntry(*found, hold=streams) if found else None
        self._finishes_entry = streams
        self._folder = TraceFolder(settings.trace_dir) if settings.trace_dir else None
        self._trace = TraceRecorder(request_id, texts=settings.trace_text) if self._folder else None

    def observer(self, observe: Observer) -> Observer:
        """Return an observer that also records each event."""
        trace = self._trace
        if trace is None:
            return observe

        def both(event: Event) -> None:
            trace.observe(event)
            observe(event)

        return both

    @property
    def recorder(self) -> RecordCall | None:
        """What each call is given to; None if nothing is recorded."""
        return self._record if self._entry or self._trace else None

    def finish(self, result: RequestResult | CepoError) -> None:
        """Write what was recorded, with the result of the request."""
        if self._entry and self._finishes_entry:
            if isinstance(result, CepoError):
                self._entry.finish(None, result.message)
            else:
                self._entry.finish(responses.full(result), None)
        if self._trace and self._folder:
            self._folder.write(self._trace.finish(*responses.ended(result)))

    def _record(self, request: ChatRequest, result: Completion | CepoError, seconds: float) -> None:
        if self._entry:
            self._entry.record(request, result)
        if self._trace:
            self._trace.record(request, result, seconds)
