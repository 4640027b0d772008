"""Calls and tokens of a whole request: never more than its budget, and an answer out of whatever there is."""

from __future__ import annotations

from functools import partial
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.desk import MODEL, Desk, changed, run
from support.scripted import completion

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Question, Step, Usage
from optillm_cerebras_cepo.core.errors import ApiUnavailable, CepoError, OutOfBudget
from optillm_cerebras_cepo.llm.context_window import TokenEstimates
from optillm_cerebras_cepo.llm.metering import BudgetGuard

EFFORTS = st.sampled_from(["low", "medium", "high", "auto", "none"])


NUMBERS = count(1)


def outcome(it: Desk) -> str | int:
    """The answer, or the error's status."""
    try:
        return str(run(it).answer)
    except CepoError as error:
        return error.status


def differing(_: ChatRequest) -> str:
    """No two solutions agree, so that nothing ends early."""
    return f"The answer is {next(NUMBERS)}. Rating: [[1]]"


def three_approaches(request: ChatRequest) -> str:
    """The same, with approaches where they are asked for."""
    approaches = '{"approach_1": "a", "approach_2": "b", "approach_3": "c"}'
    return approaches if request.label.step is Step.APPROACHES else differing(request)


LIMITS = st.integers(400, 9000)  # tokens: no reply of these tests is cut
CONFIGURATIONS = st.fixed_dictionaries(
    {},
    optional={
        "effort": st.sampled_from(["low", "high", "auto"]),
        "bestofn_rating_type": st.sampled_from(["pairwise", "majority"]),
        "use_plan_diversity": st.just(True),
        "planning_max_tokens_step1": st.just(0) | LIMITS,
        "planning_max_tokens_step2": LIMITS,
        "planning_max_tokens_step3": LIMITS,
        "planning_max_tokens_step4": st.just(0) | LIMITS,
        "planning_max_tokens_direct_resp": LIMITS,
        "bestofn_max_tokens": LIMITS,
    },
)


@settings(max_examples=60, deadline=None)
@given(max_calls=st.integers(1, 60), effort=EFFORTS, n=st.integers(1, 3))
def test_every_budget_of_calls_is_kept_and_answers(max_calls: int, effort: Any, n: int) -> None:
    """From one call on. Nothing that was begun is lost for lack of calls: what is not borne is not begun."""
    it = Desk(differing, effort=effort, max_calls=max_calls)
    assert run(it, n=n).answer
    assert len(it.client.requests) <= max_calls
    if effort != "none" and n == 1:
        assert not [line for line in it.caller.tracker.degraded.lines if "left out" in line]


@settings(max_examples=60, deadline=None)
@given(max_calls=st.integers(1, 40), effort=EFFORTS, seed=st.integers(0), rate=st.floats(0, 1))
def test_every_budget_is_kept_whatever_fails(max_calls: int, effort: Any, seed: int, rate: float) -> None:
    """It answers with a whole text or raises, and never makes a call more."""
    random = Random(seed)
    flaws: list[Completion | Exception] = [completion("cut", "length"), completion(""), ApiUnavailable("busy")]
    it = Desk(lambda _: random.choice(flaws) if random.random() < rate else "good", effort=effort, max_calls=max_calls)
    direct = effort == "none" or max_calls < 3  # handed on as it is
    assert outcome(it) in ({"good", 422, 502, 503, "cut"} if direct else {"good", 422, 502, 503})
    assert len(it.client.requests) <= max_calls


@settings(max_examples=60, deadline=None)
@given(tokens=st.integers(400, 60_000), replies=st.integers(1, 4096), effort=EFFORTS, known=st.booleans())
def test_every_budget_of_tokens_is_kept(tokens: int, replies: int, effort: Any, known: bool) -> None:
    """Prompts as estimated (10 tokens each here), replies of any length, cut at what is asked for."""
    spent: list[int] = []

    def answer(request: ChatRequest) -> Completion:
        written = min(replies, request.max_tokens)
        spent.append(10 + written)
        return Completion("m", differing(request), "stop" if written == replies else "length", Usage(10, written))

    it = Desk(answer, effort=effort, max_total_tokens=tokens)
    it.caller = changed(it.caller, usual_reply_tokens=lambda _: replies if known else None)
    assert outcome(it) not in (500, 504)
    assert sum(spent) <= tokens


@settings(max_examples=60, deadline=None)
@given(max_calls=st.integers(1, 60), own=CONFIGURATIONS)
def test_nothing_that_was_begun_is_lost_for_lack_of_calls(max_calls: int, own: dict[str, Any]) -> None:
    """Whichever steps are switched off: what a budget does not bear is not begun."""
    it = Desk(three_approaches, max_calls=max_calls, **own)
    assert run(it).answer
    assert len(it.client.requests) <= max_calls
    assert not [line for line in it.caller.tracker.degraded.lines if "left out" in line]


@settings(max_examples=60, deadline=None)
@given(
    tokens=st.integers(3_000, 200_000),
    text=st.sampled_from(["What is it? ", "鸡兔各几何？", "ما هو؟ ", "🙂"]),
    times=st.integers(1, 300),
    own=CONFIGURATIONS,
    known=st.booleans(),
)
def test_nothing_that_was_begun_is_lost_for_lack_of_tokens(
    tokens: int, text: str, times: int, own: dict[str, Any], known: bool
) -> None:
    """For questions of any script and length, and whichever steps are switched off."""
    estimates = TokenEstimates()

    def answer(request: ChatRequest) -> Completion:
        return Completion(
            "m", f"{three_approaches(request):<1000}", "stop", Usage(estimates.prompt_tokens(request), 400)
        )

    it = Desk(answer, Question(text * times, "Be exact."), max_total_tokens=tokens, **own)
    counted = BudgetGuard(it.client, estimates.prompt_tokens)
    it.caller = changed(
        it.caller,
        client=counted,
        count_tokens=partial(estimates.prompt_tokens_of_texts, MODEL),
        usual_reply_tokens=lambda _: 400 if known else None,
    )
    assert outcome(it) != 422 or not it.client.requests
    assert not [line for line in it.caller.tracker.degraded.lines if "left out" in line]


def test_a_budget_of_tokens_bears_what_replies_are_known_to_take() -> None:
    """Limits of 4096 tokens are expected of replies that nobody has seen yet; then what they took."""
    for known, candidates in ((None, 1), (5, 3)):
        it = Desk("Rating: [[1]]", max_total_tokens=30_000)
        it.caller = changed(it.caller, usual_reply_tokens=lambda _, known=known: known)
        assert len(run(it).candidates) == candidates


def test_what_a_budget_leaves_out_is_said() -> None:
    """In words, first of all."""
    it = Desk("Rating: [[1]]", max_calls=24, rate_always=True)
    assert len(run(it).candidates) == 2
    assert it.caller.tracker.degraded.lines == ("2 of 3 candidates: max_calls 24 allows no more",)
    assert len(it.client.requests) == 18


def test_no_review_where_it_is_not_borne() -> None:
    """Plans and the final answer made from the first solution."""
    it = Desk("good", max_calls=7)
    run(it)
    assert [len(it.client.of(step)) for step in (Step.PLAN, Step.EXECUTE, Step.REVIEW, Step.FINAL)] == [3, 3, 0, 1]


def test_auto_opens_no_candidate_that_is_not_borne() -> None:
    """Eight calls for the first, and 18 for two with their ratings."""
    for max_calls, candidates in ((17, 1), (18, 2)):
        it = Desk(differing, effort="auto", max_calls=max_calls)
        assert len(run(it).candidates) == candidates
        assert it.caller.tracker.degraded.lines == (
            f"{candidates} of 3 candidates: max_calls {max_calls} allows no more",
        )


def test_the_answer_is_kept_for_when_plans_fail() -> None:
    """Five plans that fail take five of six calls; the sixth is the direct answer, which is not reviewed."""
    it = Desk(lambda r: ApiUnavailable("busy") if r.label.step is Step.PLAN else "direct", bestofn_n=1, max_calls=6)
    assert run(it).answer == "direct"
    assert [request.label.step for request in it.client.requests] == [Step.PLAN] * 5 + [Step.DIRECT]


def test_every_candidate_has_its_last_resort() -> None:
    """Plans that fail and are tried on use up what nobody holds; both candidates still ask directly."""
    it = Desk(lambda _: ApiUnavailable("busy"), bestofn_n=2, max_calls=18, planning_m=40)
    with pytest.raises(ApiUnavailable):
        run(it)
    assert sorted(request.label.candidate for request in it.client.of(Step.DIRECT)) == [1, 2]
    assert len(it.client.requests) == 18


def test_without_an_answer_in_the_budget_there_is_a_422() -> None:
    """It says what to raise."""
    small = Desk("x", max_total_tokens=100)
    with pytest.raises(OutOfBudget, match="raise max_total_tokens"):
        run(small)
    assert small.client.requests == []
