"""Long plans on a model with a small context, over real HTTP: answered, said, and learnt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import KEY
from support.solving import solve

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.errors import PromptTooLong
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.server import Simulator

SOLUTION = "Step by step we go on. " * 560 + "So the answer is 42."  # 3225 of the simulator's tokens, three of them
REVIEWED = "We go over it once more. " * 300 + "So it is 42."  # 1878 tokens
RULES = (
    Rule(pattern="^Previous responses", text=REVIEWED),
    Rule(pattern="final solution", text=REVIEWED),
    Rule(pattern="execute", text=SOLUTION),
    Rule(pattern="RESPONSE: ", text="It holds.\n\nRating: [[1]]"),
    Rule(pattern="Response 1: ", text="Better Response: [[0]]"),
    Rule(text="a plan"),
)
SMALL = "review: 3 solutions shortened to fit the model's context"


def ask(api: Simulator, question: str = "What is 6 times 7?", **settings: Any) -> RequestResult:
    """Solve one question on the small model."""
    fields: dict[str, Any] = {"model": ("llama3.1-8b",), "bestofn_n": 1, **settings}
    return solve(RUNTIME, Question(question), Settings(**fields), RUNTIME.client(api.url, KEY))


def refused(api: Simulator) -> int:
    """How many calls were refused."""
    return sum(call.status == 400 for call in api.chat_calls)


def test_solutions_beyond_the_context_are_reviewed_by_their_ends(simulate: Callable[..., Simulator]) -> None:
    """One refusal tells the limit of this account; from then on every call fits at once."""
    api = simulate(tier="free", rules=RULES)
    for refusals in (1, 0):
        solved = ask(api)
        assert solved.outcome.answer.endswith("So it is 42.")
        assert SMALL in solved.fitted
        assert solved.degraded == ()
        assert refused(api) == refusals
        review = next(
            call.body["messages"][-1]["content"]
            for call in api.chat_calls
            if call.status == 200 and call.body["messages"][-1]["content"].startswith("Previous responses")
        )
        assert review.count("So the answer is 42.") == review.count("[… shortened …]") == 3
        assert review.count("What is 6 times 7?") == 1
        api.clear()


def test_long_answers_are_compared_by_their_ends(simulate: Callable[..., Simulator]) -> None:
    """Two of them and the judge's prompt are more than the model takes; each comparison is made."""
    long = "We go over it once more. " * 640 + "So it is 42."  # 4003 of the simulator's tokens
    rules = (RULES[0], Rule(pattern="final solution", text=long), *RULES[2:])
    api = simulate(tier="free", rules=rules)
    settings: dict[str, Any] = {
        "bestofn_n": 2,
        "bestofn_rating_type": "pairwise",
        "rate_always": True,
        "planning_max_tokens_step4": 4090,
    }
    solved = ask(api, **settings)
    assert "rating: 2 answers shortened to fit the model's context" in solved.fitted
    assert sum(rating or 0 for rating in solved.outcome.ratings) == 2
    assert solved.degraded == ()


def test_a_question_beyond_the_context_is_the_clients_to_shorten(simulate: Callable[..., Simulator]) -> None:
    """Nothing of it is cut: the API's refusal stands."""
    api = simulate(tier="free", rules=RULES)
    with pytest.raises(PromptTooLong, match="at most 8,192 tokens"):
        ask(api, "word " * 10_000)
    assert {call.status for call in api.chat_calls} == {400}
