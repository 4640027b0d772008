"""Estimate how many tokens a prompt has, before the API has counted it, and fit calls into their model's context.

There is no tokenizer: each model has its own, of several megabytes. The ratio of a prompt's bytes to its tokens is
nearly constant for one model and kind of text, and each reply states the tokens of its prompt, so the ratio is learned.
Bytes are counted, not characters: a Chinese character is three bytes and about one token.
"""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion, Message, RawMessage, Step
from optillm_cerebras_cepo.core.errors import PromptTooLong
from optillm_cerebras_cepo.llm.models import lookup

DEFAULT_RATIO = 3.5  # bytes a token: English text has more than four, formulas and code about three
POSSIBLE = (1.0, 8.0)  # bytes a token; a ratio outside of this range is not learned
KNOWN = 8  # prompts of a model before the learned ratio is used
WINDOW = 200  # remembered prompts of each model
MODELS = 64  # remembered models
QUANTILE = 0.1  # share of the remembered prompts with a lower ratio than the one that is used
MIN_BYTES = 400  # of a prompt to learn from; a shorter one is mostly the frame around its messages
FRAME = 4  # tokens around each message
PICTURE = 1000  # tokens of a part that is not text
PROMPT_OPTIONS = ("tools", "response_format")  # options that the model reads as part of its prompt


class TokenEstimates:
    """Ratios of bytes to tokens, by model. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ratios: dict[str, deque[float]] = {}
        self._used_ratio: dict[str, float] = {}  # of models with enough prompts

    def prompt_tokens(self, request: ChatRequest) -> int:
        """Return the estimated tokens of a request's prompt, rather too many than too few."""
        text_bytes, other_tokens = measure(request)
        return other_tokens + self._tokens(request.model, text_bytes)

    def prompt_tokens_of_texts(self, model: str, texts: Collection[str]) -> int:
        """Return the estimated tokens of a prompt with each of these texts as a message."""
        return FRAME * (len(texts) + 1) + self._tokens(model, sum(map(size, texts)))

    def record(self, request: ChatRequest, prompt_tokens: int) -> None:
        """Learn from the API's count. Short prompts and prompts with pictures are ignored."""
        text_bytes, other_tokens = measure(request)
        pictures = other_tokens > FRAME * (len(request.messages) + 1)
        if text_bytes < MIN_BYTES or prompt_tokens <= other_tokens or pictures:
            return
        ratio = text_bytes / (prompt_tokens - other_tokens)
        if not POSSIBLE[0] <= ratio <= POSSIBLE[1]:
            return
        with self._lock:
            if request.model not in self._ratios and len(self._ratios) >= MODELS:
                oldest = next(iter(self._ratios))
                del self._ratios[oldest]
                self._used_ratio.pop(oldest, None)
            ratios = self._ratios.setdefault(request.model, deque(maxlen=WINDOW))
            ratios.append(ratio)
            if len(ratios) >= KNOWN:
                self._used_ratio[request.model] = sorted(ratios)[int(QUANTILE * len(ratios))]

    def _tokens(self, model: str, text_bytes: int) -> int:
        with self._lock:
            return ceil(text_bytes / self._used_ratio.get(model, DEFAULT_RATIO))


def size(text: str) -> int:
    """Return the bytes of a text, which may contain halves of surrogate pairs."""
    return len(text.encode(errors="surrogatepass"))


def measure(request: ChatRequest) -> tuple[int, int]:
    """Return the bytes of the prompt's texts, and the estimated tokens of everything else: frames and pictures."""
    text_bytes = pictures = 0
    for message in request.messages:
        texts: list[str | None] = [message.content] if isinstance(message, Message) else [*_texts(message)]
        text_bytes += sum(size(text) for text in texts if text)
        pictures += texts.count(None)
    text_bytes += sum(size(_json(request.options[name])) for name in PROMPT_OPTIONS if name in request.options)
    return text_bytes, FRAME * (len(request.messages) + 1) + PICTURE * pictures


def _texts(message: RawMessage) -> Iterator[str | None]:
    """Yield the texts of a message, and None for each part that is not text."""
    for name, value in message.fields.items():
        if name == "content" and not isinstance(value, str):
            parts = [part for part in value if isinstance(part, Mapping)] if isinstance(value, list | tuple) else []
            yield from (text if isinstance(text := part.get("text"), str) else None for part in parts)
        elif name != "role":
            yield value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    """Return a value as it stands in a prompt: letters of any script as they are, not escaped."""
    return json.dumps(value, ensure_ascii=False)


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
        self._learned: dict[str, int] = {}

    def for_model(self, model: str) -> int | None:
        """Return the tokens; None if unknown."""
        return self._learned.get(model, lookup(model).context)

    def record(self, model: str, tokens: int) -> None:
        """Remember what the API said."""
        self._learned[model] = tokens


@dataclass(frozen=True)
class Fitted:
    """A request that is estimated to fit, and what was changed."""

    request: ChatRequest
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ContextFitter:
    """Layer that fits each call into its model's context: before it goes out, and once more after a refusal.

    First the limit of the reply is lowered, down to a quarter of the context. Then texts are shortened, if the request
    has texts that may be. Then the limit is lowered further. If the API refuses the call as too long nevertheless, it
    is fitted with the numbers in the refusal: the prompt's length was an estimate, and the context depends on the
    account.
    """

    inner: ChatClient
    contexts: ContextWindows
    estimates: TokenEstimates

    def complete(self, request: ChatRequest) -> Completion:
        """Answer from the fitted request. Raises what the inner client raises; a second refusal is final."""
        context = self.contexts.for_model(request.model)
        fitted = fit(request, self.estimates.prompt_tokens(request), context)
        try:
            completion = self.inner.complete(fitted.request)
        except PromptTooLong as refusal:
            again = self._fit_again(refusal, request, fitted.request)
            if again.request == fitted.request:
                raise
            fitted = again
            completion = self.inner.complete(fitted.request)
        if completion.usage.prompt_tokens is not None:
            self.estimates.record(fitted.request, completion.usage.prompt_tokens)
        return replace(completion, fitted=(*completion.fitted, *fitted.changes)) if fitted.changes else completion

    def _fit_again(self, refusal: PromptTooLong, original: ChatRequest, sent: ChatRequest) -> Fitted:
        """Fit the original request with the numbers in the refusal; without numbers, make it much shorter."""
        sent_tokens, tokens = self.estimates.prompt_tokens(sent), self.estimates.prompt_tokens(original)
        limit = refusal.limit or int(RETRY_SHARE * (sent_tokens + sent.max_tokens))
        if refusal.limit:
            self.contexts.record(original.model, refusal.limit)
        if refusal.prompt_tokens:
            self.estimates.record(sent, refusal.prompt_tokens)
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
