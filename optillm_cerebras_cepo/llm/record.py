"""Handing every call to a recorder, with what was asked and what came back: for a log that an operator asks for.

What only counts and times calls is `trace.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from optillm_cerebras_cepo.chat import ChatRequest, Completion
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.llm.base import ChatClient

Recorder = Callable[[ChatRequest, "Completion | CepoError"], None]
"""Is told of a call once it is over, on the thread that made it. It must not raise."""


class Record:
    """Tells the recorder of each call; a call that failed is one too."""

    def __init__(self, inner: ChatClient, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder

    def complete(self, request: ChatRequest) -> Completion:
        """Answer. Raises what the inner client raises, after recording it."""
        try:
            completion = self._inner.complete(request)
        except CepoError as error:
            self._recorder(request, error)
            raise
        self._recorder(request, completion)
        return completion
