"""Layers that account for calls: one takes them from the budget, one counts them, one reports and records them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from optillm_cerebras_cepo.core.chat import CallFinished, ChatClient, ChatRequest, Completion, Observer, Step
from optillm_cerebras_cepo.core.errors import CepoError


class BudgetGuard:
    """Layer that takes each call from the request's budget before it goes out.

    Args:
        inner: makes the calls.
        estimate: returns the estimated tokens of a request's prompt; the reply then has the exact number.

    """

    def __init__(self, inner: ChatClient, estimate: Callable[[ChatRequest], int]) -> None:
        self._inner = inner
        self._estimate = estimate

    def complete(self, request: ChatRequest) -> Completion:
        """Answer, with a lower limit if fewer tokens remain. Raises OutOfBudget, or what the inner client raises."""
        with request.budget.call(self._estimate(request), request.max_tokens, request.deadline) as allowance:
            lowered = allowance.max_tokens < request.max_tokens
            affordable = replace(request, max_tokens=allowance.max_tokens) if lowered else request
            completion = self._inner.complete(affordable)
            usage = completion.usage
            if usage.completion_tokens is not None:  # otherwise it may have used its whole allowance
                allowance.spent = (usage.prompt_tokens or 0) + usage.completion_tokens
        if not lowered:
            return completion
        change = f"max_completion_tokens lowered to {allowance.max_tokens} to stay within max_total_tokens"
        return replace(completion, fitted=(*completion.fitted, change))


@dataclass(frozen=True)
class UsageTotals:
    """Calls and tokens.

    `uncounted` is the number of replies without usage. `reasoning_tokens` are included in `completion_tokens`.
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

    def __add__(self, other: UsageTotals) -> UsageTotals:
        return UsageTotals(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.uncounted + other.uncounted,
            self.reasoning_tokens + other.reasoning_tokens,
        )


class Ledger:
    """Calls and tokens of one request, by step. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps: dict[Step, UsageTotals] = {}

    def add(self, step: Step, usage: UsageTotals) -> None:
        """Add to the totals of a step."""
        with self._lock:
            self._steps[step] = self._steps.get(step, UsageTotals()) + usage

    @property
    def by_step(self) -> Mapping[Step, UsageTotals]:
        """A copy of the totals, in the order of `Step`."""
        with self._lock:
            return {step: self._steps[step] for step in Step if step in self._steps}

    @property
    def total(self) -> UsageTotals:
        """All steps together."""
        return sum(self.by_step.values(), UsageTotals())


class UsageMeter:
    """Layer that counts each call when it goes out, and its tokens when the reply arrives."""

    def __init__(self, inner: ChatClient, ledger: Ledger) -> None:
        self._inner = inner
        self._ledger = ledger

    def complete(self, request: ChatRequest) -> Completion:
        """Answer. Raises what the inner client raises. A failed call counts, unless it was never sent."""
        # OptiLLM's defect: tokens_of_unused_attempts_are_not_counted
        # OptiLLM's defect: tokens_of_ratings_are_not_counted
        step = request.label.step
        self._ledger.add(step, UsageTotals(calls=1))
        try:
            completion = self._inner.complete(request)
        except CepoError as error:
            if not error.sent:
                self._ledger.add(step, UsageTotals(calls=-1))
            raise
        usage = completion.usage
        uncounted = int(usage.completion_tokens is None)
        prompt, reply = usage.prompt_tokens or 0, usage.completion_tokens or 0
        self._ledger.add(step, UsageTotals(0, prompt, reply, uncounted, usage.reasoning_tokens))
        return completion


RecordCall = Callable[[ChatRequest, "Completion | CepoError"], None]
"""Is given each finished call, on the thread that made it. It must not raise."""


class CallReporter:
    """Layer that reports each finished call to the observer, and passes it with its texts to the recorder."""

    def __init__(self, inner: ChatClient, observer: Observer, recorder: RecordCall | None = None) -> None:
        self._inner = inner
        self._observer = observer
        self._recorder = recorder

    def complete(self, request: ChatRequest) -> Completion:
        """Answer. Raises what the inner client raises; the observer is told of calls that were sent only."""
        started = time.monotonic()
        try:
            completion = self._inner.complete(request)
        except CepoError as error:
            if error.sent:
                self._observer(CallFinished(request.label, time.monotonic() - started, error=error))
            if self._recorder:
                self._recorder(request, error)
            raise
        seconds = time.monotonic() - started
        self._observer(CallFinished(request.label, seconds, completion.usage, completion.finish_reason))
        if self._recorder:
            self._recorder(request, completion)
        return completion
