"""Long questions of another script under a budget of tokens, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import KEY
from support.solving import solve

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.llm.metering import KNOWN
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator.server import Simulator

CHINESE = Question("鸡兔同笼，上有三十五头，下有九十四足，问鸡兔各几何？" * 240)  # 6,000 characters and more


@pytest.mark.parametrize("known", [False, True], ids=["cold", "known"])
@pytest.mark.parametrize("effort", ["none", "low", "medium", "auto"])
def test_nothing_is_begun_that_a_budget_of_tokens_does_not_bear(
    simulate: Callable[..., Simulator], effort: Any, known: bool
) -> None:
    """A Chinese question of 6,000 characters is answered within its budget, and no call of it is left out.

    When nothing is known of the model's replies yet, and when it is.
    """
    assert len(CHINESE.text) >= 6000
    api, runtime = simulate(), Runtime()
    client = runtime.client(api.url, KEY)
    for _ in range(KNOWN if known else 0):
        solve(runtime, Question("?"), Settings(bestofn_n=2), client)
    for budget in (8_000, 12_000, 15_000, 20_000, 30_000, 50_000, 80_000, 200_000, 400_000):
        api.clear()
        solved = solve(runtime, CHINESE, Settings(effort=effort, max_total_tokens=budget), client)
        assert "42" in solved.outcome.answer
        assert not [line for line in (*solved.degraded, *solved.fitted) if "left out" in line or "lowered" in line]
        assert solved.ledger.total.total_tokens == api.usage.total_tokens <= budget
    runtime.reset()
