"""What calls are expected to take, held against the calls that OptiLLM then makes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.desk import MODEL, Desk, changed, run

from optillm_cerebras_cepo.cepo.workload import (
    HEADING_BYTES,
    PROMPT_BYTES,
    expected_costs,
    expected_prompt_tokens,
)
from optillm_cerebras_cepo.core.chat import ChatRequest, Label, Message, Question, Step
from optillm_cerebras_cepo.llm.context_window import FRAME, KNOWN, TokenEstimates

SCRIPTS = st.sampled_from(["abc ", "六七", "اب", "αβ", "🙂", "x² = 4\n", "é"])
TEXTS = st.lists(SCRIPTS, min_size=1, max_size=8).map("".join) | st.text()
LONG = "ab cd. " * 1000
CONFIGURATIONS: list[dict[str, Any]] = [
    {},
    {"bestofn_rating_type": "pairwise"},
    {"use_plan_diversity": True},
    {"planning_max_tokens_step1": 0},
    {"planning_max_tokens_step4": 0},
    {"planning_n": 12, "planning_m": 12},
    {"effort": "none"},
]


def learnt(bytes_per_token: float) -> TokenEstimates:
    """Estimates of a model of which enough was seen."""
    estimates = TokenEstimates()
    for _ in range(KNOWN):
        request = ChatRequest("llama-3.3-70b", (Message("user", LONG),), 10, Label(Step.PLAN))
        estimates.record(request, round(len(LONG) / bytes_per_token) + 2 * FRAME)
    return estimates


def short(request: ChatRequest) -> str:
    """Replies that add next to nothing to the prompts that quote them."""
    return '{"approach_1": "1", "approach_2": "1", "approach_3": "1"}' if request.label.step is Step.APPROACHES else "1"


@settings(max_examples=60)
@given(
    text=TEXTS.map(lambda text: text * 40),
    system=TEXTS,
    history=st.lists(TEXTS, max_size=20),
    own=st.sampled_from(CONFIGURATIONS),
    bytes_per_token=st.floats(1.5, 7.5),
)
def test_a_prompt_is_planned_with_the_tokens_that_are_counted_when_it_is_sent(
    text: str, system: str, history: list[str], own: dict[str, Any], bytes_per_token: float
) -> None:
    """Of any script and by what was learnt, with no more on top than OptiLLM's own words; never with fewer."""
    it = Desk(short, Question(text, system, tuple(Message("user", turn) for turn in history)), **own)
    estimates = learnt(bytes_per_token)
    it.caller = changed(it.caller, count_tokens=partial(estimates.prompt_tokens_of_texts, MODEL))
    run(it)
    assert it.client.requests
    for request in it.client.requests:
        step, sent = request.label.step, estimates.prompt_tokens(request)
        words = PROMPT_BYTES.get(step, 0) + (
            HEADING_BYTES * it.caller.request.settings.planning_n if step is Step.REVIEW else 0
        )
        assert sent <= expected_prompt_tokens(it.caller, step) <= sent + words / bytes_per_token + 4 * FRAME + 5


@pytest.mark.parametrize("step", [Step.PLAN, Step.FINAL, Step.DIRECT])
def test_a_chinese_question_is_planned_with_a_token_a_character(step: Step) -> None:
    """Not with a third of it: what was begun for too little budget would be lost."""
    caller = Desk(question=Question("六" * 6000)).caller
    times = 2 if step is Step.PLAN else 1
    assert expected_prompt_tokens(caller, step) == pytest.approx(times * 6000 * 3 / 3.5, rel=0.05)


def test_ratings_are_planned_with_what_is_known_of_the_judges_model() -> None:
    """Its tokens and its replies; the model that answers may count and write otherwise."""
    caller = Desk(question=Question("ab " * 2000)).caller
    rater = changed(caller, id="another", usual_reply_tokens=lambda _: 20)
    caller = changed(
        caller, count_tokens=partial(learnt(7.0).prompt_tokens_of_texts, MODEL), usual_reply_tokens=lambda _: 300
    )
    planned = expected_costs(caller, rater)
    assert (
        planned.prompt(Step.RATING)
        == expected_prompt_tokens(rater, Step.RATING)
        > expected_prompt_tokens(caller, Step.RATING)
    )
    assert (planned.reply(Step.RATING), planned.reply(Step.FINAL)) == (20, 300)
