"""Estimate how many tokens a prompt has, before the API has counted it.

There is no tokenizer: each model has its own, of several megabytes. The ratio of a prompt's bytes to its tokens is
nearly constant for one model and kind of text, and each reply states the tokens of its prompt, so the ratio is learned.
Bytes are counted, not characters: a Chinese character is three bytes and about one token.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from math import ceil
from typing import Any

from optillm_cerebras_cepo.core.chat import ChatRequest, Message, RawMessage

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
        if text_bytes < MIN_BYTES or prompt_tokens <= other_tokens or any(map(_pictures, request.messages)):
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
        if isinstance(message, Message):
            text_bytes += size(message.content)
        else:
            text_bytes += sum(map(size, _texts(message)))
            pictures += _pictures(message)
    text_bytes += sum(size(_json(request.options[name])) for name in PROMPT_OPTIONS if name in request.options)
    return text_bytes, FRAME * (len(request.messages) + 1) + PICTURE * pictures


def _texts(message: RawMessage) -> Iterator[str]:
    for name, value in message.fields.items():
        if name == "content" and not isinstance(value, str):
            yield from filter(None, map(_text, _parts(message)))
        elif name != "role":
            yield value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    """Return a value as it stands in a prompt: letters of any script as they are, not escaped."""
    return json.dumps(value, ensure_ascii=False)


def _parts(message: Message | RawMessage) -> list[Mapping[str, Any]]:
    content = message.fields.get("content") if isinstance(message, RawMessage) else None
    return [part for part in content if isinstance(part, Mapping)] if isinstance(content, list | tuple) else []


def _text(part: Mapping[str, Any]) -> str | None:
    text = part.get("text")
    return text if isinstance(text, str) else None


def _pictures(message: Message | RawMessage) -> int:
    return sum(_text(part) is None for part in _parts(message))
