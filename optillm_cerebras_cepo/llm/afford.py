"""Making no call that the request's budget does not bear, and counting what each has taken of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from optillm_cerebras_cepo.chat import ChatRequest, Completion
from optillm_cerebras_cepo.llm.base import ChatClient


class Afford:
    """Takes each call's share of the request's budget before it goes out.

    Args:
        inner: makes the calls that can be afforded.
        estimate: tokens of a request's prompt; the reply then says how many there were.

    """

    def __init__(self, inner: ChatClient, estimate: Callable[[ChatRequest], int]) -> None:
        self._inner = inner
        self._estimate = estimate

    def complete(self, request: ChatRequest) -> Completion:
        """Answer, with fewer tokens where no more are left. Raises OutOfBudget, or what the inner client raises."""
        with request.budget.call(self._estimate(request), request.max_tokens, request.deadline) as share:
            lowered = share.max_tokens < request.max_tokens
            affordable = replace(request, max_tokens=share.max_tokens) if lowered else request
            completion = self._inner.complete(affordable)
            usage = completion.usage
            if usage.completion_tokens is not None:  # else it may have taken all that it was given
                share.spent = (usage.prompt_tokens or 0) + usage.completion_tokens
        if not lowered:
            return completion
        change = f"max_completion_tokens lowered to {share.max_tokens}, for max_total_tokens allows no more"
        return replace(completion, fitted=(*completion.fitted, change))
