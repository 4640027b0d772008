"""Make only calls that the request's budget allows, and count what each call used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion


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
