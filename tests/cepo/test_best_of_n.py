"""Best of n: what is asked, what is chosen, and what happens when something fails."""

from __future__ import annotations

import threading
from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture
from support.desk import Desk, by_candidate, run
from support.scripted import completion
from support.waiting import PATIENCE

from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.cepo.judge import Judge
from optillm_cerebras_cepo.cepo.outcome import best_candidate
from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Step
from optillm_cerebras_cepo.core.errors import (
    ApiUnavailable,
    CepoError,
    ModelUnavailable,
    NoAnswer,
    QuotaExhausted,
    RateLimited,
    RefusedCall,
    WrongKey,
)

BUSY = ApiUnavailable("busy")


@pytest.mark.parametrize("rate_always", [False, True])
def test_the_default_request(rate_always: bool) -> None:
    """3 candidates of 3 plans, a review and a final answer each: 24 calls (OptiLLM: 48); 27 with ratings."""
    it = Desk("Rating: [[1]]", rate_always=rate_always)
    outcome = run(it)
    counted = Counter(request.label.step for request in it.client.requests)
    ratings = {Step.RATING: 3} if rate_always else {}
    assert counted == {Step.PLAN: 9, Step.EXECUTE: 9, Step.REVIEW: 3, Step.FINAL: 3} | ratings
    assert outcome.ratings == ((1.0,) * 3 if rate_always else (None,) * 3)
    assert outcome.answer == "Rating: [[1]]"
    assert [candidate.number for candidate in outcome.candidates] == [1, 2, 3]
    assert outcome.answers[0].finish_reason == "stop"


def test_ratings_begin_as_soon_as_two_answers_differ() -> None:
    """Of candidates 1 and 2, while candidate 3 is still being made."""
    rated = threading.Semaphore(0)

    def answer(request: ChatRequest) -> str:
        if request.label.step is Step.RATING:
            rated.release()
        elif request.label.step is Step.FINAL and request.label.candidate == 3:
            assert rated.acquire(timeout=PATIENCE)
            assert rated.acquire(timeout=PATIENCE)
        return by_candidate(request)

    assert run(Desk(answer)).ratings == (0.0, 1.0, 0.0)


@pytest.mark.parametrize("rating_type", ["absolute", "pairwise"])
def test_equal_answers_of_those_that_are_left_are_not_rated(rating_type: str) -> None:
    """Candidate 3 has failed: nobody waits for it."""
    it = Desk(
        lambda r: ApiUnavailable("busy") if r.label.candidate == 3 else "The answer is 5.",
        bestofn_rating_type=rating_type,
    )
    assert run(it).agreement == 1.0
    assert it.client.of(Step.RATING) == []


def test_a_defect_in_one_candidate_ends_those_that_wait_for_it() -> None:
    """The request fails with it."""

    def answer(request: ChatRequest) -> Any:
        return RuntimeError("a defect") if request.label.candidate == 3 else "The answer is 5."

    with pytest.raises(RuntimeError, match="a defect"):
        run(Desk(answer))


def test_the_best_rated_candidate_answers() -> None:
    """Its number stands beside the ratings."""
    outcome = run(Desk(by_candidate))
    assert (outcome.answer, outcome.chosen, outcome.ratings) == ("answer 2", 2, (0.0, 1.0, 0.0))


@given(st.lists(st.one_of(st.none(), st.integers(0, 10).map(float)), min_size=1, max_size=6))
def test_no_candidate_is_rated_better_than_the_chosen_one(ratings: list[float | None]) -> None:
    """And none before it as well; one without a rating is taken only where nobody has one."""
    candidates = [Candidate(number, f"answer {number}") for number in range(1, len(ratings) + 1)]
    chosen = best_candidate("?", candidates, tuple(ratings))
    known = [rating for rating in ratings if rating is not None]
    best = max(known) if known else None
    assert chosen.number == ratings.index(best) + 1


@pytest.mark.parametrize("ratings", [(1.0, 1.0, 1.0), (None, None, None)])
def test_ties_go_to_the_majority_among_the_tied(ratings: tuple[float | None, ...]) -> None:
    """In whatever notation; then to the first."""
    candidates = [Candidate(1, "It is 0.25."), Candidate(2, "The answer is 1/2"), Candidate(3, "So we get **0.5**.")]
    assert best_candidate("What is it?", candidates, ratings).number == 2
    assert best_candidate("What is it?", candidates, (0.0, 1.0, 0.5)).number == 2
    assert best_candidate("What is it?", candidates[:2], ratings[:2]).number == 1


def test_a_candidate_that_fails_is_left_out() -> None:
    """While another lives, the request answers and says so."""
    it = Desk(lambda r: ApiUnavailable("busy") if r.label.candidate == 1 else by_candidate(r))
    outcome = run(it)
    assert outcome.answer == "answer 2"
    assert "candidate 1 left out: busy" in it.caller.tracker.degraded.lines


def test_the_only_candidate_left_is_not_rated(mocker: MockerFixture) -> None:
    """It is chosen anyway, and has nothing to agree with."""
    failed, expect_one_less = threading.Event(), Judge.expect_one_less

    def noted(judge: Judge) -> None:
        expect_one_less(judge)
        failed.set()

    mocker.patch.object(Judge, "expect_one_less", noted)

    def answer(request: ChatRequest) -> Any:
        if request.label.candidate == 1:
            return ApiUnavailable("busy")
        if request.label.step is Step.FINAL:
            failed.wait(PATIENCE)
        return by_candidate(request)

    it = Desk(answer, bestofn_n=2)
    outcome = run(it)
    assert (outcome.answer, outcome.ratings, outcome.agreement) == ("answer 2", (None,), None)
    assert it.client.of(Step.RATING) == []


def test_without_ratings_the_first_candidate_answers() -> None:
    """A judge who never answers costs no answer."""
    it = Desk(lambda r: ApiUnavailable("busy") if r.label.step is Step.RATING else by_candidate(r))
    outcome = run(it)
    assert (outcome.answer, outcome.ratings) == ("answer 1", (None, None, None))


def test_when_all_candidates_fail_alike_that_is_the_error() -> None:
    """The client learns the status of what happened."""
    with pytest.raises(RateLimited):
        run(Desk(lambda _: RateLimited("limited")))


def test_when_they_fail_differently_all_reasons_are_named() -> None:
    """In one line."""
    it = Desk(lambda r: RateLimited("limited") if r.label.candidate == 1 else RefusedCall("refused"))
    with pytest.raises(NoAnswer, match="limited; refused"):
        run(it)


@pytest.mark.parametrize("kind", [WrongKey, ModelUnavailable, QuotaExhausted])
def test_when_no_further_call_can_succeed_a_finished_candidate_answers(kind: type[CepoError]) -> None:
    """The first candidate is finished when the second one's direct answer meets the error."""
    finished = threading.Event()

    def answer(request: ChatRequest) -> Any:
        if request.label.candidate == 1:
            if request.label.step is Step.RATING:
                finished.set()
            return "x"
        if request.label.step is Step.DIRECT:
            finished.wait()
            return kind("no further call")
        return BUSY

    it = Desk(answer, bestofn_n=2, rate_always=True)
    assert [candidate.number for candidate in run(it).candidates] == [1]
    assert "candidate 2 left out: no further call" in it.caller.tracker.degraded.lines


def test_without_a_finished_candidate_the_error_that_ended_the_request_is_raised() -> None:
    """Not what the calls after it met."""
    with pytest.raises(WrongKey):
        run(Desk(lambda r: WrongKey("wrong") if r.label.candidate == 3 else BUSY))


@settings(max_examples=60, deadline=None)
@given(st.integers(0), st.floats(0, 1))
def test_whatever_fails_the_answer_is_whole_or_there_is_an_error(seed: int, rate: float) -> None:
    """Faults of all kinds in any mixture: never an empty or a cut text as an answer, never another exception."""
    random = Random(seed)  # not hypothesis' own: the calls come from many threads
    cut = completion("cut", "length")
    flaws: list[Completion | Exception] = [
        cut,
        completion(""),
        completion("f", "content_filter"),
        ApiUnavailable("busy"),
    ]
    it = Desk(
        lambda _: random.choice(flaws) if random.random() < rate else "good", bestofn_n=2, planning_n=1, planning_m=2
    )
    try:
        answer = run(it).answer
    except CepoError:
        return
    assert answer == "good"
