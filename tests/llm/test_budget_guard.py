"""Budget guard: attempts count, unused tokens return, and no call exceeds the budget."""

from __future__ import annotations

import pytest
from support.scripted import Answer, Scripted, completion, in_turn

from optillm_cerebras_cepo.core.budget import Budget
from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.core.errors import ApiUnavailable, OutOfBudget
from optillm_cerebras_cepo.llm.metering import BudgetGuard


def request(budget: Budget, max_tokens: int = 1000) -> ChatRequest:
    """A request that spends from this budget."""
    return ChatRequest("m", (Message("user", "q"),), max_tokens, Label(Step.PLAN, 1), budget=budget)


def over(answer: Answer | str) -> tuple[BudgetGuard, Scripted]:
    """The layer over a script, with prompts of 10 tokens."""
    api = Scripted(answer)
    return BudgetGuard(api, lambda _: 10), api


def test_each_attempt_is_taken_from_the_budget() -> None:
    """A failed one as well; the tokens are those in the reply."""
    client, api = over(in_turn(ApiUnavailable("busy"), completion("ok")))
    budget = Budget(2, 2000)
    with pytest.raises(ApiUnavailable):
        client.complete(request(budget))
    client.complete(request(budget))
    assert budget.remaining == (0, 1985)
    with pytest.raises(OutOfBudget):
        client.complete(request(budget))
    assert len(api.requests) == 2


def test_call_is_limited_to_the_remaining_tokens() -> None:
    """If they are enough to be useful."""
    client, api = over("ok")
    fitted = client.complete(request(Budget(tokens=600))).fitted
    assert fitted == ("max_completion_tokens lowered to 590 to stay within max_total_tokens",)
    assert api.requests[0].max_tokens == 590


def test_reply_without_usage_counts_with_its_whole_limit() -> None:
    """Otherwise a budget could be exceeded unnoticed."""
    client, _ = over(lambda _: Completion("m", "ok", "stop", Usage()))
    budget = Budget(tokens=2000)
    client.complete(request(budget))
    assert budget.remaining[1] == 990
