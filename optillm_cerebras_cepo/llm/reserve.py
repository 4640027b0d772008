"""Asking for as many tokens as replies take, not for the whole limit.

Cerebras charges a call's `max_completion_tokens` against the tokens per minute when it admits the call, whatever the
reply then takes: a limit of 4096 for replies of 400 tokens spends ten times what is used. So each call asks for what
its step's replies have lately taken, with a margin, and a reply that is cut there is asked for again, with the whole
limit.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from math import ceil

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Step
from optillm_cerebras_cepo.llm.base import ChatClient

WINDOW = 200  # replies that are remembered of each model and step
KNOWN = 8  # replies before their lengths are relied on
SHARE = 0.95  # of the remembered replies that must fit
MARGIN = 1.25


class ReplyLengths:
    """How long the replies of each model and step were, in tokens, for as long as the process lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, Step], deque[int]] = {}

    def add(self, model: str, step: Step, tokens: int) -> None:
        """Remember a reply's length."""
        with self._lock:
            self._seen.setdefault((model, step), deque(maxlen=WINDOW)).append(tokens)

    def enough(self, model: str, step: Step) -> int | None:
        """Tokens that are enough for nearly every reply; None while too few were seen."""
        with self._lock:
            seen = sorted(self._seen.get((model, step), ()))
        if len(seen) < KNOWN:
            return None
        return ceil(seen[ceil(SHARE * len(seen)) - 1] * MARGIN)

    def usual(self, model: str, step: Step) -> int | None:
        """The mean of the remembered replies; None while too few were seen."""
        with self._lock:
            seen = tuple(self._seen.get((model, step), ()))
        return ceil(sum(seen) / len(seen)) if len(seen) >= KNOWN else None


class Reserve:
    """Lowers a call's limit to what its replies take; asks again with the whole limit when that was too little."""

    def __init__(self, inner: ChatClient, lengths: ReplyLengths) -> None:
        self._inner = inner
        self._lengths = lengths

    def complete(self, request: ChatRequest) -> Completion:
        """Answer, never cut below the request's own limit. Raises what the inner client raises."""
        step = request.label.step
        enough = self._lengths.enough(request.model, step)
        # What a listener has heard cannot be asked for again.
        lowered = enough is not None and enough < request.max_tokens and request.listener is None
        completion = self._inner.complete(replace(request, max_tokens=enough) if lowered and enough else request)
        if lowered and completion.finish_reason == "length":
            completion = self._inner.complete(request)
        tokens = completion.usage.completion_tokens
        if tokens is not None and completion.finish_reason != "length":  # how long a cut one is, nobody knows
            self._lengths.add(request.model, step, tokens)
        return completion
