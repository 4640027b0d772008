"""Telling an observer about every call: who asked, how long it took, what it cost, how it failed; not what it said."""

from __future__ import annotations

import time

from optillm_cerebras_cepo.chat import ChatRequest, Completion
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.events import Called, Observer
from optillm_cerebras_cepo.llm.base import ChatClient


class Trace:
    """Reports each call to the observer once it is over."""

    def __init__(self, inner: ChatClient, observer: Observer) -> None:
        self._inner = inner
        self._observer = observer

    def complete(self, request: ChatRequest) -> Completion:
        """Answer. Raises what the inner client raises, after reporting it if the call has left."""
        started = time.monotonic()
        try:
            completion = self._inner.complete(request)
        except CepoError as error:
            if error.sent:
                self._observer(Called(request.label, time.monotonic() - started, error=error))
            raise
        seconds = time.monotonic() - started
        self._observer(Called(request.label, seconds, completion.usage, completion.finish_reason))
        return completion
