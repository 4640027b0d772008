"""Token limits learnt from replies, over real HTTP: no kind of call is cut at what another kind takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import KEY
from statistical_model.model import Skills, responder
from statistical_model.questions import SimQuestion
from statistical_model.texts import Lengths
from support.solving import solve

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator.answers import Responder
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
QUESTION = Question(SimQuestion("q", 1.0, "42").text)
ABSOLUTE: dict[str, Any] = {"bestofn_rating_type": "absolute", "rate_always": True}
PAIRWISE: dict[str, Any] = {"bestofn_rating_type": "pairwise", "rate_always": True}
DIRECT: dict[str, Any] = {"effort": "none"}
CALLS = {"absolute": 27, "pairwise": 30, "none": 1}


def lengths(rating: int, comparison: int) -> Responder:
    """A model whose replies of a kind all have the same length."""
    return responder(Skills(lengths=Lengths(rating=rating, comparison=comparison, sigma=0)))


@pytest.mark.parametrize(("rating", "comparison"), [(60, 600), (600, 60)])
@pytest.mark.parametrize(
    "order",
    [[ABSOLUTE] * 3 + [PAIRWISE], [PAIRWISE] * 2 + [ABSOLUTE], [ABSOLUTE, DIRECT, PAIRWISE] * 3],
    ids=["absolute first", "pairwise first", "in turns"],
)
def test_one_kind_of_rating_costs_no_call_more_after_the_other(
    simulate: Simulate, order: list[dict[str, Any]], rating: int, comparison: int
) -> None:
    """27 calls with ratings of each candidate and 30 with comparisons of each pair, whichever was asked before."""
    api, runtime = simulate(responder=lengths(rating, comparison)), Runtime()
    for settings in order:
        api.clear()
        solved = solve(runtime, QUESTION, Settings(**settings), runtime.client(api.url, KEY))
        assert solved.degraded == ()
        assert len(api.chat_calls) == CALLS[settings.get("effort") or settings["bestofn_rating_type"]]
    runtime.reset()
