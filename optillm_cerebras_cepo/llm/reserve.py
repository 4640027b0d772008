"""Asking for as many tokens as replies take, not for the whole limit.

Cerebras charges a call's `max_completion_tokens` against the tokens per minute when it admits the call, whatever the
reply then takes: a limit of 4096 for replies of 400 tokens spends ten times what is used. So each call asks for what
the replies of its kind (model, step and `Label.kind`) have lately taken, with a margin, and a reply that is cut there
is asked for again, with the whole limit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import replace
from math import ceil

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Step
from optillm_cerebras_cepo.llm.base import ChatClient

WINDOW = 200  # replies that are remembered of each kind
KINDS = 500  # kinds that are remembered: clients make them, so they must not grow without end
KNOWN = 8  # replies before their lengths are relied on
SHARE = 0.95  # of the remembered replies that must fit
MARGIN = 1.25


class ReplyLengths:
    """Lengths of replies in tokens, by kind of call, for as long as the process lives. For many threads.

    When there are more than `KINDS` kinds, the one that was not replied to for the longest time is forgotten.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: OrderedDict[tuple[str, Step, str], deque[int]] = OrderedDict()

    def add(self, model: str, label: Label, tokens: int) -> None:
        """Remember a reply's length."""
        kind = (model, label.step, label.kind)
        with self._lock:
            self._seen.setdefault(kind, deque(maxlen=WINDOW)).append(tokens)
            self._seen.move_to_end(kind)
            if len(self._seen) > KINDS:
                self._seen.popitem(last=False)

    def enough(self, model: str, label: Label) -> int | None:
        """Return the tokens that are enough for nearly every reply of this kind; None while too few were seen."""
        seen = sorted(self._of(model, label))
        return ceil(seen[ceil(SHARE * len(seen)) - 1] * MARGIN) if len(seen) >= KNOWN else None

    def usual(self, model: str, label: Label) -> int | None:
        """Return the mean of the remembered replies of this kind; None while too few were seen."""
        seen = self._of(model, label)
        return ceil(sum(seen) / len(seen)) if len(seen) >= KNOWN else None

    def _of(self, model: str, label: Label) -> tuple[int, ...]:
        with self._lock:
            return tuple(self._seen.get((model, label.step, label.kind), ()))


class Reserve:
    """Lowers a call's limit to what its replies take; asks again with the whole limit when that was too little."""

    def __init__(self, inner: ChatClient, lengths: ReplyLengths) -> None:
        self._inner = inner
        self._lengths = lengths

    def complete(self, request: ChatRequest) -> Completion:
        """Answer, never cut below the request's own limit. Raises what the inner client raises."""
        enough = self._lengths.enough(request.model, request.label)
        # What a listener has heard cannot be asked for again.
        lowered = enough is not None and enough < request.max_tokens and request.listener is None
        completion = self._inner.complete(replace(request, max_tokens=enough) if lowered and enough else request)
        if lowered and completion.finish_reason == "length":
            completion = self._inner.complete(request)
        tokens = completion.usage.completion_tokens
        if tokens is not None and completion.finish_reason != "length":  # how long a cut one is, nobody knows
            self._lengths.add(request.model, request.label, tokens)
        return completion
