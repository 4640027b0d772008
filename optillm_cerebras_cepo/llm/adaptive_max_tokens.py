"""Lower each call's token limit to the usual length of such replies.

Cerebras charges a call's whole `max_completion_tokens` against the tokens per minute when it admits the call, whatever
the reply then takes: a limit of 4096 for replies of 400 tokens uses ten times as much. So each call's limit is what
recent replies of its kind (model, step and `Label.kind`) took, plus a margin. A reply that is cut there is requested
again with the whole limit.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import replace
from math import ceil

from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion, Label, Step

WINDOW = 200  # remembered replies of each kind
KINDS = 500  # remembered kinds: clients create them, so their number is bounded
KNOWN = 8  # replies of a kind before its lengths are used
SHARE = 0.95  # of the remembered replies that must fit
MARGIN = 1.25


class ReplyLengths:
    """Lengths of replies in tokens, by kind of call. Safe for many threads.

    Beyond `KINDS` kinds, the kind whose last reply is the oldest is forgotten.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lengths: OrderedDict[tuple[str, Step, str], deque[int]] = OrderedDict()

    def record(self, model: str, label: Label, tokens: int) -> None:
        """Remember a reply's length."""
        kind = (model, label.step, label.kind)
        with self._lock:
            self._lengths.setdefault(kind, deque(maxlen=WINDOW)).append(tokens)
            self._lengths.move_to_end(kind)
            if len(self._lengths) > KINDS:
                self._lengths.popitem(last=False)

    def max_tokens_for(self, model: str, label: Label) -> int | None:
        """Return a limit that fits nearly every reply of this kind; None for fewer than `KNOWN` replies."""
        lengths = sorted(self._recent(model, label))
        return ceil(lengths[ceil(SHARE * len(lengths)) - 1] * MARGIN) if len(lengths) >= KNOWN else None

    def mean(self, model: str, label: Label) -> int | None:
        """Return the mean length of replies of this kind; None for fewer than `KNOWN` replies."""
        lengths = self._recent(model, label)
        return ceil(sum(lengths) / len(lengths)) if len(lengths) >= KNOWN else None

    def _recent(self, model: str, label: Label) -> tuple[int, ...]:
        with self._lock:
            return tuple(self._lengths.get((model, label.step, label.kind), ()))


class AdaptiveMaxTokens:
    """Layer that lowers a call's limit, and calls again with the whole limit if the reply was cut."""

    def __init__(self, inner: ChatClient, lengths: ReplyLengths) -> None:
        self._inner = inner
        self._lengths = lengths

    def complete(self, request: ChatRequest) -> Completion:
        """Answer, never cut below the request's own limit. Raises what the inner client raises."""
        limit = self._lengths.max_tokens_for(request.model, request.label)
        # A reply that is streamed to a listener cannot be requested again.
        lowered = limit is not None and limit < request.max_tokens and request.listener is None
        completion = self._inner.complete(replace(request, max_tokens=limit) if lowered and limit else request)
        if lowered and completion.finish_reason == "length":
            completion = self._inner.complete(request)
        tokens = completion.usage.completion_tokens
        if tokens is not None and completion.finish_reason != "length":  # the full length of a cut reply is unknown
            self._lengths.record(request.model, request.label, tokens)
        return completion
