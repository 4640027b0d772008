"""Fitting a call into its model's context: a lower limit of the reply, and only the ends of its longest texts.

The reply's limit goes first, down to a quarter of the context; then texts are shortened, if the call has any that may
be; else the limit goes further down.

How long a prompt is, nobody knows before the API has counted it (`estimate.py`), and how much its model takes depends
on the account. So when the API refuses a call as too long, its figures are believed, and the call is fitted once more.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Message, Step
from optillm_cerebras_cepo.errors import PromptTooLong
from optillm_cerebras_cepo.llm.base import ChatClient
from optillm_cerebras_cepo.llm.estimate import Estimates, measure, size
from optillm_cerebras_cepo.llm.models import lookup

REPLY = 1 / 4  # of the context: what a reply keeps as long as there are texts to shorten; a review of less is often cut
LEAST = 1024  # tokens that a reply keeps in any case, if it may have as many
MARGIN = 0.02  # share of the context that is left free, for an estimate is one
SHARE = 0.5  # of a call's length that is tried after a refusal without figures
KEPT = 400  # bytes that a text keeps at least: less would not hold an answer
MARK = "[… shortened …]\n"


class Contexts:
    """How many tokens models take, prompt and reply together: as the API said, else as the table says."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, int] = {}

    def of(self, model: str) -> int | None:
        """Tokens; None where nobody has said."""
        with self._lock:
            return self._told.get(model, lookup(model).context)

    def tell(self, model: str, tokens: int) -> None:
        """Remember what the API said, for as long as the process lives."""
        with self._lock:
            self._told[model] = tokens


@dataclass(frozen=True)
class Fitted:
    """A request that is meant to fit, and what was done for it."""

    request: ChatRequest
    changes: tuple[str, ...] = ()


class Context:
    """Fits each call into its model's context, once before it goes out and once after a refusal."""

    def __init__(self, inner: ChatClient, contexts: Contexts, estimates: Estimates) -> None:
        self._inner = inner
        self._contexts = contexts
        self._estimates = estimates

    def complete(self, request: ChatRequest) -> Completion:
        """Answer from the fitted request. Raises what the inner client raises; a second refusal is final."""
        fitted = fit_in(request, self._estimates.of(request), self._contexts.of(request.model))
        try:
            completion = self._inner.complete(fitted.request)
        except PromptTooLong as refusal:
            again = self._by(refusal, request, fitted.request)
            if again.request == fitted.request:
                raise
            fitted = again
            completion = self._inner.complete(fitted.request)
        if completion.usage.prompt_tokens is not None:
            self._estimates.learn(fitted.request, completion.usage.prompt_tokens)
        return replace(completion, fitted=(*completion.fitted, *fitted.changes)) if fitted.changes else completion

    def _by(self, refusal: PromptTooLong, asked: ChatRequest, sent: ChatRequest) -> Fitted:
        """The request fitted by the refusal's figures; where it has none, made a good deal shorter."""
        expected, tokens = self._estimates.of(sent), self._estimates.of(asked)
        limit = refusal.limit or int(SHARE * (expected + sent.max_tokens))
        if refusal.limit:
            self._contexts.tell(asked.model, refusal.limit)
        if refusal.prompt_tokens:
            self._estimates.learn(sent, refusal.prompt_tokens)
            tokens = ceil(tokens * refusal.prompt_tokens / expected)
        return fit_in(asked, tokens, limit)


def fit_in(request: ChatRequest, tokens: int, context: int | None) -> Fitted:
    """Fit a request whose prompt has so many tokens into so many; one that cannot be made to fit stays as it is."""
    if context is None:
        return Fitted(request)
    room = int(context * (1 - MARGIN)) - tokens  # for the reply
    if room >= request.max_tokens:
        return Fitted(request)
    least = min(LEAST, request.max_tokens)
    kept = min(max(LEAST, int(REPLY * context)), request.max_tokens)
    if room < kept:
        written, frame = measure(request)
        shorter = _shortened(request, ceil((kept - room) * written / max(1, tokens - frame)))
        if shorter is not None:
            return _lowered(shorter, kept)
    return _lowered(Fitted(request), room) if room >= least else Fitted(request)


def _lowered(fitted: Fitted, most: int) -> Fitted:
    """The same with a limit of at most so many tokens."""
    if fitted.request.max_tokens <= most:
        return fitted
    changes = ("max_completion_tokens lowered to fit the model's context", *fitted.changes)
    return Fitted(replace(fitted.request, max_tokens=most), changes)


def _shortened(request: ChatRequest, excess: int) -> Fitted | None:
    """The request with so many bytes fewer in its last message; None when its shortenable texts are not that long."""
    last = request.messages[-1]
    if not isinstance(last, Message):
        return None
    texts = [
        text
        for text, times in Counter(request.shortenable).items()
        for _ in range(min(times, last.content.count(text) if text else 0))
    ]
    ends = shorten(texts, excess)
    if ends is None:
        return None
    # The longest first: a shorter one may stand within it.
    cut = sorted(
        ((text, end) for text, end in zip(texts, ends, strict=True) if text != end), key=lambda it: -len(it[0])
    )
    content = last.content
    for text, end in cut:
        content = content.replace(text, end, 1)
    name = "answer" if request.label.step is Step.RATING else "solution"
    change = f"{len(cut)} {name}{'s' if len(cut) > 1 else ''} shortened to fit the model's context"
    return Fitted(replace(request, messages=(*request.messages[:-1], Message(last.role, content))), (change,))


def shorten(texts: Sequence[str], excess: int) -> list[str] | None:
    """Take so many bytes, or some more, from these texts: the longest are cut to one size, from their beginnings.

    The answer stands at a solution's end. None when a text would keep less than KEPT bytes.
    """
    sizes = sorted(map(size, texts), reverse=True)
    most = 0
    for count, following in enumerate([*sizes[1:], 0], 1):
        most = (sum(sizes[:count]) - excess) // count  # that each of the longest may keep
        if most >= following:
            break
    return [text if size(text) <= most else _end(text, most) for text in texts] if most >= KEPT else None


def _end(text: str, most: int) -> str:
    """The mark, and as much of the text's end as makes so many bytes with it."""
    end = text.encode(errors="surrogatepass")[size(MARK) - most :]
    return MARK + end.lstrip(bytes(range(0x80, 0xC0))).decode(errors="surrogatepass")  # not from within a character
