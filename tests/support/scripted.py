"""One fake, at the lowest seam: a ChatClient that answers from a script and keeps what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Step, Usage

Answer = Callable[[ChatRequest], "str | Completion | Exception"]


def completion(text: str, finish_reason: str = "stop", model: str = "llama-3.3-70b") -> Completion:
    """A reply of 10 prompt and 5 completion tokens."""
    return Completion(model, text, finish_reason, Usage(10, 5))


class Scripted:
    """Answers each request with what `answer` says: a text, a completion, or an exception to raise."""

    def __init__(self, answer: Answer | str = "an answer") -> None:
        self._answer = answer if callable(answer) else lambda _: answer
        self._lock = threading.Lock()
        self.requests: list[ChatRequest] = []

    def complete(self, request: ChatRequest) -> Completion:
        """Answer from the script."""
        with self._lock:
            self.requests.append(request)
        answer = self._answer(request)
        if isinstance(answer, Exception):
            raise answer
        return completion(answer) if isinstance(answer, str) else answer

    def of(self, step: Step) -> list[ChatRequest]:
        """What was asked in this step."""
        return [request for request in self.requests if request.label.step is step]


def in_turn(*answers: str | Completion | Exception) -> Answer:
    """Answer with these one after another; asked once more than that, fail the test."""
    left: Iterator[str | Completion | Exception] = iter(answers)

    def answer(request: ChatRequest) -> str | Completion | Exception:
        try:
            return next(left)
        except StopIteration:
            raise AssertionError(f"asked more often than scripted: {request.label}") from None

    return answer
