"""What a request cost, and limits of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from support.solving import solve

from optillm_cerebras_cepo.core.chat import Parameters, Question
from optillm_cerebras_cepo.core.errors import NoPrice, OutOfBudget
from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator import Rule, Simulator

Simulate = Callable[..., Simulator]
ONE: dict[str, Any] = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1}
OTHER = "gpt-oss-120b"


def solved(api: Simulator, **settings: Any) -> Any:
    """Answer a question; settings may be None."""
    return solve(RUNTIME, Question("What is 6 times 7?"), Settings(**settings), RUNTIME.client(api.url, KEY))


def spent(api: Simulator, model: str) -> float:
    """Return what the API's calls of a model cost, by its own count."""
    price = lookup(model).price
    assert price
    calls = [call for call in api.chat_calls if call.body["model"] == model]
    return sum(price.cost(call.prompt_tokens, call.completion_tokens) for call in calls)


def test_the_cost_is_that_of_all_calls(simulate: Simulate) -> None:
    """By the price of the table."""
    api = simulate()
    cost = solved(api, **ONE).cost
    assert cost == pytest.approx(spent(api, "llama-3.3-70b"), abs=1e-8)
    assert cost > 0


def test_a_judge_of_another_model_has_a_price_of_its_own(simulate: Simulate) -> None:
    """Its calls cost what they cost there."""
    api = simulate(rules=(Rule(text="The answer is 42. Rating: [[5]]"),), models=("llama-3.3-70b", OTHER))
    result = solved(api, rating_model=OTHER, rate_always=True, **ONE | {"bestofn_n": 2})
    assert result.cost == pytest.approx(spent(api, "llama-3.3-70b") + spent(api, OTHER), abs=1e-8)
    assert spent(api, OTHER) > 0


def test_a_model_without_a_price_has_no_cost(simulate: Simulate, tmp_path: Path) -> None:
    """Null, not zero; the operator may know it."""
    api = simulate(models=("ours=llama-3.3-70b",))
    assert solved(api, model=("ours",), **ONE).cost is None
    own = tmp_path / "prices.json"
    own.write_text(json.dumps({"ours": {"prompt": 0, "completion": 1_000}}))
    result = solved(api, model=("ours",), prices=str(own), **ONE)
    assert result.cost == pytest.approx(result.ledger.total.completion_tokens / 1000)


@pytest.mark.parametrize("dollars", [0.02, 0.05, 0.1, 0.2])
def test_no_request_costs_more_than_its_limit(simulate: Simulate, dollars: float) -> None:
    """It does less, and says why."""
    api = simulate(rules=(Rule(text="word " * 3000 + "The answer is 42."),))
    result = solved(api, max_cost=dollars)
    assert spent(api, "llama-3.3-70b") <= dollars
    assert any("max_cost" in line for line in result.degraded)


def test_a_limit_that_pays_for_no_answer_is_an_error(simulate: Simulate) -> None:
    """Before any call; the message names the setting."""
    api = simulate()
    with pytest.raises(OutOfBudget, match="max_cost"):
        solved(api, max_cost=1e-7)
    assert not api.chat_calls


def test_a_cost_cannot_be_limited_without_a_price(simulate: Simulate) -> None:
    """The message says what to do."""
    api = simulate(models=("ours=llama-3.3-70b",))
    with pytest.raises(NoPrice, match=r"max_cost needs the price of ours.*CEPO_CEREBRAS_PRICES"):
        solved(api, model=("ours",), max_cost=1.0)
    assert not api.chat_calls


def test_a_judge_without_a_price_cannot_be_limited_either(simulate: Simulate) -> None:
    """Its calls would not be counted. A judge that is not served costs nothing."""
    api = simulate(models=("llama-3.3-70b", "ours=llama3.1-8b"))
    with pytest.raises(NoPrice, match="the price of ours"):
        solved(api, rating_model="ours", max_cost=1.0, **ONE)
    assert solved(api, rating_model="nobodys", max_cost=1.0, **ONE).cost > 0


def test_the_smaller_of_two_limits_counts(simulate: Simulate) -> None:
    """Tokens, or dollars."""
    api = simulate()
    assert any("max_total_tokens" in line for line in solved(api, max_cost=1.0, max_total_tokens=20_000).degraded)


def test_an_error_has_the_cost_of_its_calls(simulate: Simulate) -> None:
    """Of those that were answered."""
    api = simulate(rules=(Rule(text=""),))
    question, client = Question("What is 6 times 7?"), RUNTIME.client(api.url, KEY)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever it is
        solve(RUNTIME, question, Settings(effort="none"), client, parameters=Parameters(max_tokens=5))
    assert caught.value.spent["cost"] == pytest.approx(spent(api, "llama-3.3-70b"), abs=1e-8)  # type: ignore[attr-defined]
