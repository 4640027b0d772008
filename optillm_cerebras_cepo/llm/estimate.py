"""How many tokens a prompt has, before the API has counted it.

No tokenizer: every model has its own, of megabytes. The bytes of a prompt over its tokens are nearly a constant of
model and kind of text, and each reply says how many tokens its prompt had, so the constant is learnt. Bytes are counted
and not characters: a Chinese character is three bytes and about one token.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from math import ceil
from typing import Any

from optillm_cerebras_cepo.chat import ChatRequest, Message, RawMessage

AT_FIRST = 3.5  # bytes a token: English text has more than four, formulas and code about three
POSSIBLE = (1.0, 8.0)  # bytes a token; what is beyond was not a count of this prompt
KNOWN = 8  # prompts of a model before what was learnt of it is relied on
WINDOW = 200  # prompts that are remembered of each model
MODELS = 64  # models that are remembered
CAUTION = 0.1  # share of the remembered prompts that had fewer bytes a token than an estimate takes
TELLING = 400  # bytes; a shorter prompt is mostly the frame around its messages
FRAME = 4  # tokens around each message
PICTURE = 1000  # tokens of a part that is no text
WORDY = ("tools", "response_format")  # options that the model reads as part of its prompt


class Estimates:
    """Tokens of prompts, for as long as the process lives. For many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, deque[float]] = {}
        self._cautious: dict[str, float] = {}  # what is relied on, of the models of which enough was seen

    def of(self, request: ChatRequest) -> int:
        """Tokens of this request's prompt, rather too many than too few."""
        text, frame = measure(request)
        return frame + self._tokens(request.model, text)

    def of_texts(self, model: str, texts: Collection[str]) -> int:
        """Return the estimated tokens of a prompt that has each of these texts as a message."""
        return FRAME * (len(texts) + 1) + self._tokens(model, sum(map(size, texts)))

    def learn(self, request: ChatRequest, prompt_tokens: int) -> None:
        """Take in how many tokens the API counted. Prompts that tell nothing are passed over: short ones, pictures."""
        text, frame = measure(request)
        if text < TELLING or prompt_tokens <= frame or _has_pictures(request):
            return
        ratio = text / (prompt_tokens - frame)
        if not POSSIBLE[0] <= ratio <= POSSIBLE[1]:
            return
        with self._lock:
            if request.model not in self._seen and len(self._seen) >= MODELS:
                oldest = next(iter(self._seen))
                del self._seen[oldest]
                self._cautious.pop(oldest, None)
            seen = self._seen.setdefault(request.model, deque(maxlen=WINDOW))
            seen.append(ratio)
            if len(seen) >= KNOWN:
                self._cautious[request.model] = sorted(seen)[int(CAUTION * len(seen))]

    def _tokens(self, model: str, text: int) -> int:
        """Return the tokens of so many bytes."""
        with self._lock:
            return ceil(text / self._cautious.get(model, AT_FIRST))


def size(text: str) -> int:
    """Bytes of a text, half characters included."""
    return len(text.encode(errors="surrogatepass"))


def measure(request: ChatRequest) -> tuple[int, int]:
    """Bytes of the prompt's texts, and estimated tokens of what is no text: frames around messages, pictures."""
    texts = pictures = 0
    for message in request.messages:
        if isinstance(message, Message):
            texts += size(message.content)
        else:
            texts += sum(map(size, _texts(message)))
            pictures += _pictures(message)
    options = sum(size(_json(request.options[name])) for name in WORDY if name in request.options)
    return texts + options, FRAME * (len(request.messages) + 1) + PICTURE * pictures


def _texts(message: RawMessage) -> Iterator[str]:
    for name, value in message.fields.items():
        if name == "content":
            texts = [value] if isinstance(value, str) else map(_text, _parts(message))
            yield from (text for text in texts if text)
        elif name != "role":
            yield value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    """Write a value as it stands in a prompt, where a letter of any script is itself and no escape of six bytes."""
    return json.dumps(value, ensure_ascii=False)


def _parts(message: Message | RawMessage) -> list[Mapping[str, Any]]:
    content = message.fields.get("content") if isinstance(message, RawMessage) else None
    return [part for part in content if isinstance(part, Mapping)] if isinstance(content, list | tuple) else []


def _text(part: Mapping[str, Any]) -> str | None:
    text = part.get("text")
    return text if isinstance(text, str) else None


def _pictures(message: Message | RawMessage) -> int:
    return sum(_text(part) is None for part in _parts(message))


def _has_pictures(request: ChatRequest) -> bool:
    return any(_pictures(message) for message in request.messages)
