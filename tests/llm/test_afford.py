"""The layer that spends from the budget: tries count, replies give back, and no call goes out beyond it."""

from __future__ import annotations

import pytest
from support.scripted import Answer, Scripted, completion, in_turn

from optillm_cerebras_cepo.budget import Budget
from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.errors import ApiUnavailable, OutOfBudget
from optillm_cerebras_cepo.llm.afford import Afford


def request(budget: Budget, max_tokens: int = 1000) -> ChatRequest:
    """A request that spends from this budget."""
    return ChatRequest("m", (Message("user", "q"),), max_tokens, Label(Step.PLAN, 1), budget=budget)


def over(answer: Answer | str) -> tuple[Afford, Scripted]:
    """The layer over a script, with prompts of 10 tokens."""
    api = Scripted(answer)
    return Afford(api, lambda _: 10), api


def test_each_try_is_taken_from_the_budget() -> None:
    """A failed one as well; the tokens are what the reply says."""
    client, api = over(in_turn(ApiUnavailable("busy"), completion("ok")))
    budget = Budget(2, 2000)
    with pytest.raises(ApiUnavailable):
        client.complete(request(budget))
    client.complete(request(budget))
    assert budget.left == (0, 1985)
    with pytest.raises(OutOfBudget):
        client.complete(request(budget))
    assert len(api.requests) == 2


def test_a_call_goes_out_with_what_is_left() -> None:
    """Less than it asks for, while that is of use."""
    client, api = over("ok")
    fitted = client.complete(request(Budget(tokens=600))).fitted
    assert fitted == ("max_completion_tokens lowered to 590, for max_total_tokens allows no more",)
    assert api.requests[0].max_tokens == 590


def test_a_reply_that_tells_no_usage_may_have_taken_all() -> None:
    """So that no budget is broken unseen."""
    client, _ = over(lambda _: Completion("m", "ok", "stop", Usage()))
    budget = Budget(tokens=2000)
    client.complete(request(budget))
    assert budget.left[1] == 990
