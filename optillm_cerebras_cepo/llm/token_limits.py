"""Two layers that choose a call's token limit.

AdaptiveMaxTokens lowers it to the usual length of such replies. Cerebras charges a call's whole `max_completion_tokens`
against the tokens per minute when it admits the call, whatever the reply then takes: a limit of 4096 for replies of 400
tokens uses ten times as much. So each call's limit is what recent replies of its kind (model, step and `Label.kind`)
took, plus a margin. A reply that is cut there is requested again with the whole limit.

ContextFitter fits a call into its model's context window. First the limit of the reply is lowered, down to a quarter of
the context. Then texts are shortened, if the request has
texts that may be. Then the limit is lowered further.

The exact length of a prompt is unknown before the API has counted it (`token_estimates.py`), and the context depends on
the account. So if the API refuses a call as too long, the call is fitted once more with the numbers in the refusal.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion, Label, Message, Step
from optillm_cerebras_cepo.core.errors import PromptTooLong
from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.llm.token_estimates import TokenEstimates, measure, size

WINDOW = 200  # remembered replies of each kind
KINDS = 500  # remembered kinds: clients create them, so their number is bounded
KNOWN = 8  # replies of a kind before its lengths are used
SHARE = 0.95  # of the remembered replies that must fit
REPLY_MARGIN = 1.25  # factor on the length that fits them


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
        return ceil(lengths[ceil(SHARE * len(lengths)) - 1] * REPLY_MARGIN) if len(lengths) >= KNOWN else None

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


# Share of the context that a reply keeps while there are texts to shorten: a shorter review is often cut.
REPLY_SHARE = 1 / 4
MIN_REPLY = 1024  # tokens that a reply keeps, unless its limit is lower
CONTEXT_MARGIN = 0.02  # share of the context that stays free, because prompts are estimated
RETRY_SHARE = 0.5  # of a call's length, for the second try after a refusal without numbers
MIN_TEXT = 400  # bytes that a shortened text keeps: less would not hold an answer
MARK = "[… shortened …]\n"


class ContextWindows:
    """Context windows of models in tokens, prompt and reply together: as the API said, else as the table says."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._learned: dict[str, int] = {}

    def for_model(self, model: str) -> int | None:
        """Return the tokens; None if unknown."""
        with self._lock:
            return self._learned.get(model, lookup(model).context)

    def record(self, model: str, tokens: int) -> None:
        """Remember what the API said."""
        with self._lock:
            self._learned[model] = tokens


@dataclass(frozen=True)
class Fitted:
    """A request that is estimated to fit, and what was changed."""

    request: ChatRequest
    changes: tuple[str, ...] = ()


class ContextFitter:
    """Layer that fits each call into its model's context: before it goes out, and once more after a refusal."""

    def __init__(self, inner: ChatClient, contexts: ContextWindows, estimates: TokenEstimates) -> None:
        self._inner = inner
        self._contexts = contexts
        self._estimates = estimates

    def complete(self, request: ChatRequest) -> Completion:
        """Answer from the fitted request. Raises what the inner client raises; a second refusal is final."""
        context = self._contexts.for_model(request.model)
        fitted = fit(request, self._estimates.prompt_tokens(request), context)
        try:
            completion = self._inner.complete(fitted.request)
        except PromptTooLong as refusal:
            again = self._fit_again(refusal, request, fitted.request)
            if again.request == fitted.request:
                raise
            fitted = again
            completion = self._inner.complete(fitted.request)
        if completion.usage.prompt_tokens is not None:
            self._estimates.record(fitted.request, completion.usage.prompt_tokens)
        return replace(completion, fitted=(*completion.fitted, *fitted.changes)) if fitted.changes else completion

    def _fit_again(self, refusal: PromptTooLong, original: ChatRequest, sent: ChatRequest) -> Fitted:
        """Fit the original request with the numbers in the refusal; without numbers, make it much shorter."""
        sent_tokens, tokens = self._estimates.prompt_tokens(sent), self._estimates.prompt_tokens(original)
        limit = refusal.limit or int(RETRY_SHARE * (sent_tokens + sent.max_tokens))
        if refusal.limit:
            self._contexts.record(original.model, refusal.limit)
        if refusal.prompt_tokens:
            self._estimates.record(sent, refusal.prompt_tokens)
            tokens = ceil(tokens * refusal.prompt_tokens / sent_tokens)
        return fit(original, tokens, limit)


def fit(request: ChatRequest, prompt_tokens: int, context: int | None) -> Fitted:
    """Fit a request with a prompt of so many tokens into a context; a request that cannot fit is returned unchanged."""
    if context is None:
        return Fitted(request)
    room = int(context * (1 - CONTEXT_MARGIN)) - prompt_tokens  # for the reply
    if room >= request.max_tokens:
        return Fitted(request)
    wanted = min(max(MIN_REPLY, int(REPLY_SHARE * context)), request.max_tokens)
    if room < wanted:
        text_bytes, other_tokens = measure(request)
        excess = ceil((wanted - room) * text_bytes / max(1, prompt_tokens - other_tokens))
        shorter = _shorten_request(request, excess)
        if shorter is not None:
            return _lower_limit(shorter, wanted)
    return _lower_limit(Fitted(request), room) if room >= min(MIN_REPLY, request.max_tokens) else Fitted(request)


def _lower_limit(fitted: Fitted, max_tokens: int) -> Fitted:
    if fitted.request.max_tokens <= max_tokens:
        return fitted
    changes = ("max_completion_tokens lowered to fit the model's context", *fitted.changes)
    return Fitted(replace(fitted.request, max_tokens=max_tokens), changes)


def _shorten_request(request: ChatRequest, excess: int) -> Fitted | None:
    """Remove so many bytes from the last message; None if its shortenable texts are too short for that."""
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
    cut = [(text, end) for text, end in zip(texts, ends, strict=True) if text != end]
    content = last.content
    for text, end in sorted(cut, key=lambda pair: -len(pair[0])):  # the longest first: it may contain a shorter one
        content = content.replace(text, end, 1)
    name = "answer" if request.label.step is Step.RATING else "solution"
    change = f"{len(cut)} {name}{'s' if len(cut) > 1 else ''} shortened to fit the model's context"
    return Fitted(replace(request, messages=(*request.messages[:-1], Message(last.role, content))), (change,))


def shorten(texts: Sequence[str], excess: int) -> list[str] | None:
    """Remove at least so many bytes from the beginnings of the longest texts, which get one common size.

    The answer is at the end of a solution. Returns None if a text would keep less than MIN_TEXT bytes.
    """
    sizes = sorted(map(size, texts), reverse=True)
    keep = 0
    for count, following in enumerate([*sizes[1:], 0], 1):
        keep = (sum(sizes[:count]) - excess) // count  # bytes for each of the longest
        if keep >= following:
            break
    return [text if size(text) <= keep else _end(text, keep) for text in texts] if keep >= MIN_TEXT else None


def _end(text: str, keep: int) -> str:
    """Return the mark and the end of the text, together at most so many bytes."""
    end = text.encode(errors="surrogatepass")[size(MARK) - keep :]
    return MARK + end.lstrip(bytes(range(0x80, 0xC0))).decode(errors="surrogatepass")  # from a character's first byte
