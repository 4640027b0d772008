"""Counting what was spent: every call that went out and every token that the API says it took."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Step
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.llm.base import ChatClient


@dataclass(frozen=True)
class Spent:
    """Calls and tokens.

    `uncounted` is the number of replies that came without usage; `reasoning_tokens` are among the completion tokens.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.uncounted + other.uncounted,
            self.reasoning_tokens + other.reasoning_tokens,
        )


class Ledger:
    """What one request has spent so far, by step."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[Step, Spent] = {}

    def add(self, step: Step, spent: Spent) -> None:
        """Book one call or one reply."""
        with self._lock:
            self._steps[step] = self._steps.get(step, Spent()) + spent

    @property
    def by_step(self) -> Mapping[Step, Spent]:
        """A copy of the books, in the order of `Step`."""
        with self._lock:
            return {step: self._steps[step] for step in Step if step in self._steps}

    @property
    def total(self) -> Spent:
        """All steps together."""
        return sum(self.by_step.values(), Spent())


class Meter:
    """Books each call as it goes out, and its tokens as they come back."""

    def __init__(self, inner: ChatClient, ledger: Ledger) -> None:
        self._inner = inner
        self._ledger = ledger

    def complete(self, request: ChatRequest) -> Completion:
        """Answer. Raises what the inner client raises; a call that failed counts too, one that never left does not."""
        # OptiLLM's defect: tokens_of_unused_attempts_are_not_counted
        # OptiLLM's defect: tokens_of_ratings_are_not_counted
        step = request.label.step
        self._ledger.add(step, Spent(calls=1))
        try:
            completion = self._inner.complete(request)
        except CepoError as error:
            if not error.sent:
                self._ledger.add(step, Spent(calls=-1))
            raise
        usage = completion.usage
        unknown = usage.completion_tokens is None
        prompt, written = usage.prompt_tokens or 0, usage.completion_tokens or 0
        self._ledger.add(step, Spent(0, prompt, written, int(unknown), usage.reasoning_tokens))
        return completion
