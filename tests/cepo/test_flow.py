"""Best of n: what is asked, what is chosen, and what happens when something fails."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.desk import Desk
from support.scripted import completion

from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.cepo.choosing import choose
from optillm_cerebras_cepo.cepo.flow import solve
from optillm_cerebras_cepo.chat import ChatRequest, Message, Step
from optillm_cerebras_cepo.errors import ApiUnavailable, CepoError, NoAnswer, RateLimited, RefusedCall, WrongKey
from optillm_cerebras_cepo.parameters import Parameters


def run(it: Any, **parameters: Any) -> Any:
    """Solve with one model for all steps."""
    asker = replace(it.asker, parameters=Parameters(**parameters))
    return solve(asker, asker)


def test_the_default_request() -> None:
    """3 candidates of 3 plans, a review and a final answer each, and one rating each: 27 calls (OptiLLM: 48)."""
    it = Desk("Rating: [[1]]")
    outcome = run(it)
    counted = Counter(request.label.step for request in it.client.requests)
    assert counted == {Step.PLAN: 9, Step.EXECUTE: 9, Step.REVIEW: 3, Step.FINAL: 3, Step.RATING: 3}
    assert outcome.answer == "Rating: [[1]]"
    assert [candidate.number for candidate in outcome.candidates] == [1, 2, 3]
    assert outcome.finish_reason == "stop"


def by_candidate(request: ChatRequest) -> str:
    """Each candidate answers with its number; the judge prefers the second."""
    if request.label.step is Step.RATING:
        return f"Rating: [[{int(request.label.candidate == 2)}]]"
    return f"answer {request.label.candidate}"


def test_the_best_rated_candidate_answers() -> None:
    """Its number stands beside the ratings."""
    outcome = run(Desk(by_candidate))
    assert (outcome.answer, outcome.chosen, outcome.ratings) == ("answer 2", 2, (0.0, 1.0, 0.0))


@given(st.lists(st.one_of(st.none(), st.integers(0, 10).map(float)), min_size=1, max_size=6))
def test_no_candidate_is_rated_better_than_the_chosen_one(ratings: list[float | None]) -> None:
    """And none before it as well; one without a rating is taken only where nobody has one."""
    candidates = [Candidate(number, f"answer {number}") for number in range(1, len(ratings) + 1)]
    chosen = choose("?", candidates, tuple(ratings))
    known = [rating for rating in ratings if rating is not None]
    best = max(known) if known else None
    assert chosen.number == ratings.index(best) + 1


@pytest.mark.parametrize("ratings", [(1.0, 1.0, 1.0), (None, None, None)])
def test_ties_go_to_the_majority_among_the_tied(ratings: tuple[float | None, ...]) -> None:
    """In whatever notation; then to the first."""
    candidates = [Candidate(1, "It is 0.25."), Candidate(2, "The answer is 1/2"), Candidate(3, "So we get 0.5")]
    assert choose("What is it?", candidates, ratings).number == 2
    assert choose("What is it?", candidates, (0.0, 1.0, 0.5)).number == 2
    assert choose("What is it?", candidates[:2], ratings[:2]).number == 1


def test_a_candidate_that_fails_is_left_out() -> None:
    """While another lives, the request answers and says so."""
    it = Desk(lambda r: ApiUnavailable("busy") if r.label.candidate == 1 else by_candidate(r))
    outcome = run(it)
    assert outcome.answer == "answer 2"
    assert "candidate 1 left out: busy" in it.asker.degraded.lines


def test_the_only_candidate_left_is_not_rated() -> None:
    """It is chosen anyway, and has nothing to agree with."""
    failed = threading.Event()

    def answer(request: ChatRequest) -> Any:
        if request.label.candidate == 1:
            if request.label.step is Step.DIRECT:
                threading.Timer(0.2, failed.set).start()
            return ApiUnavailable("busy")
        if request.label.step is Step.FINAL:
            failed.wait(60)
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


def test_a_hopeless_error_ends_the_request() -> None:
    """Even when another candidate has an answer: what was asked for cannot be had."""
    with pytest.raises(WrongKey):
        run(Desk(lambda r: WrongKey("wrong") if r.label.candidate == 3 else "x"))


@settings(max_examples=60, deadline=None)
@given(st.integers(0), st.floats(0, 1))
def test_whatever_fails_the_answer_is_whole_or_there_is_an_error(seed: int, rate: float) -> None:
    """Faults of all kinds in any mixture: never an empty or a cut text as an answer, never another exception."""
    random = Random(seed)  # not hypothesis' own: the calls come from many threads
    flaws = [completion("cut", "length"), completion(""), completion("f", "content_filter"), ApiUnavailable("busy")]
    it = Desk(
        lambda _: random.choice(flaws) if random.random() < rate else "good", bestofn_n=2, planning_n=1, planning_m=2
    )
    try:
        answer = run(it).answer
    except CepoError:
        return
    assert answer == "good"


def test_no_effort_is_one_direct_call() -> None:
    """2000 tokens unless the request says otherwise, in the client's own conversation."""
    it = Desk("42", effort="none")
    assert run(it).answer == "42"
    (request,) = it.client.requests
    assert (request.label.step, request.max_tokens) == (Step.DIRECT, 2000)
    assert request.messages == (
        Message("system", "Be exact."),
        *it.asker.question.history,
        Message("user", "What is 6 times 7?"),
    )
    run(it, max_tokens=30)
    assert it.client.requests[1].max_tokens == 30


def test_a_direct_answer_cut_at_the_clients_limit_says_so() -> None:
    """The client asked for that limit."""
    outcome = run(Desk(lambda _: completion("4", "length"), effort="none"))
    assert (outcome.answer, outcome.finish_reason) == ("4", "length")


def test_an_empty_direct_answer_is_none() -> None:
    """An empty text is never an answer."""
    with pytest.raises(NoAnswer):
        run(Desk(lambda _: completion(""), effort="none"))


def test_each_candidate_plans_along_its_own_approach() -> None:
    """OptiLLM asks for them, and crashes there (cepo.py:605)."""
    approaches = '{"approach_1": "by adding", "approach_2": "by counting", "approach_3": "by heart"}'
    it = Desk(
        lambda r: approaches if r.label.step is Step.APPROACHES else by_candidate(r),
        use_plan_diversity=True,
        planning_max_tokens_step0=55,
        planning_temperature_step0=0.9,
    )
    assert run(it).answer == "answer 2"
    (asked,) = it.client.of(Step.APPROACHES)
    assert (asked.max_tokens, asked.temperature) == (55, 0.9)
    plans = {request.label.candidate: request.messages[-1].content for request in it.client.of(Step.PLAN)}
    assert ["by adding" in plans[1], "by counting" in plans[2], "by heart" in plans[3]] == [True, True, True]
    assert it.asker.degraded.lines == ()


def test_a_hopeless_error_in_the_approaches_ends_the_request() -> None:
    """No candidate is begun that would meet the same."""
    it = Desk(lambda r: WrongKey("wrong") if r.label.step is Step.APPROACHES else "x", use_plan_diversity=True)
    with pytest.raises(WrongKey):
        run(it)
    assert len(it.client.requests) == 1


@pytest.mark.parametrize("reply", ['{"approach_1": "by adding"}', '{"a": "by adding", "b": 5, "c": ""}'])
def test_fewer_approaches_go_as_far_as_they_do(reply: str) -> None:
    """Candidates share them, and the reply says so."""
    it = Desk(lambda r: reply if r.label.step is Step.APPROACHES else by_candidate(r), use_plan_diversity=True)
    assert run(it).answer == "answer 2"
    assert it.asker.degraded.lines[0].startswith("approaches: ")


@pytest.mark.parametrize("reply", ["no json", "[1, 2]", '"text"', "", completion(""), RefusedCall("no")])
def test_without_approaches_the_candidates_plan_freely(reply: Any) -> None:
    """What the model proposes is not worth losing the request for."""
    it = Desk(lambda r: reply if r.label.step is Step.APPROACHES else by_candidate(r), use_plan_diversity=True)
    assert run(it).answer == "answer 2"
    assert it.asker.degraded.lines == ("approaches: 0 of 3 could be read",)


def auto(*executions: str, final: str = "") -> tuple[Desk, Any]:
    """Answer with effort auto; the plans come to these solutions, a review to `final`."""
    left = list(executions)
    lock = threading.Lock()

    def answer(request: ChatRequest) -> str:
        if request.label.step is Step.EXECUTE:
            with lock:
                return left.pop(0)
        if request.label.step is Step.FINAL and not final:
            return next(line for line in reversed(executions) if line in request.messages[-1].content)
        return final or "a plan"

    it = Desk(answer, effort="auto")
    return it, run(it)


def count(it: Desk) -> Counter[Step]:
    """How often each step was asked."""
    return Counter(request.label.step for request in it.client.requests)


def test_auto_finishes_at_once_when_the_plans_agree() -> None:
    """In any notation: three plans, three executions and the final answer, 7 calls; no review, no rating."""
    it, outcome = auto("The answer is 1/2.", "The answer is 0.5.", r"It is \boxed{\frac{1}{2}}")
    assert count(it) == {Step.PLAN: 3, Step.EXECUTE: 3, Step.FINAL: 1}
    assert (outcome.agreement, len(outcome.candidates)) == (1.0, 1)


def test_auto_goes_on_while_another_candidate_can_change_the_choice() -> None:
    """The first disagrees with itself; the second does not, and ends the search."""
    it, outcome = auto(*[f"The answer is {n}." for n in (1, 2, 3, 5, 5, 5)], final="The answer is 5.")
    assert count(it) == {Step.PLAN: 6, Step.EXECUTE: 6, Step.REVIEW: 1, Step.FINAL: 2}
    assert outcome.answer == "The answer is 5."


def test_auto_ends_with_the_last_candidate() -> None:
    """All disagree: three candidates, 24 calls, and what most of the votes say."""
    it, outcome = auto(*[f"The answer is {n}." for n in (1, 2, 7, 3, 4, 7, 5, 6, 7)], final="The answer is 7.")
    assert len(it.client.requests) == 24
    assert outcome.answer == "The answer is 7."
    assert len(outcome.candidates) == 3


def test_auto_survives_a_candidate_that_fails() -> None:
    """Another takes its place, and the reply says so."""
    it = Desk(lambda r: ApiUnavailable("busy") if r.label.candidate == 1 else "The answer is 7.", effort="auto")
    assert run(it).answer == "The answer is 7."
    assert "candidate 1 left out: busy" in it.asker.degraded.lines


def test_auto_has_candidates_rated_that_disagree() -> None:
    """Votes alone would follow the wrong answer that most plans come to; a judge may know better."""

    def answer(request: ChatRequest) -> str:
        if request.label.step is Step.RATING:
            return f"Rating: [[{int(request.label.candidate == 3)}]]"
        if request.label.step is Step.FINAL:
            return f"The answer is {[5, 5, 7][request.label.candidate - 1]}."
        return f"The answer is {len(it.client.requests)}."

    it = Desk(answer, effort="auto")
    outcome = run(it)
    assert (outcome.answer, outcome.ratings) == ("The answer is 7.", (0.0, 0.0, 1.0))
    assert count(it)[Step.RATING] == 3


def test_auto_breaks_ties_by_all_votes() -> None:
    """Ratings that say nothing leave the choice to the plans' solutions."""
    solutions = iter([7, 8, 9, 7, 1, 2, 7, 3, 4])
    lock = threading.Lock()

    def answer(request: ChatRequest) -> str:
        if request.label.step is Step.EXECUTE:
            with lock:
                return f"The answer is {next(solutions)}."
        if request.label.step is Step.FINAL:
            return f"The answer is {[5, 7, 6][request.label.candidate - 1]}."
        return "Rating: [[1]]"

    assert run(Desk(answer, effort="auto")).answer == "The answer is 7."


def test_a_final_answer_of_plans_that_agree_is_no_further_vote() -> None:
    """It is made from the first solution, whatever it says."""
    _, outcome = auto(*["The answer is 5."] * 3, final="The answer is 6.")
    assert (outcome.answer, outcome.agreement) == ("The answer is 6.", 1.0)


@pytest.mark.parametrize(
    ("said", "candidates"),
    [
        ("5565 5575", 2),  # 6 votes to 1 and 1: sure by the Beta criterion, though 12 votes are left
        ("5565 5565 5676 5565", 4),  # 10 to 5: not sure, but the 4 votes that are left cannot change it
        ("5565 5565 5676 5685 5555", 5),  # 9 to 5 before the last: 4 votes could bring a tie
    ],
)
def test_auto_ends_when_the_votes_are_clear(said: str, candidates: int) -> None:
    """Three solutions and a reviewed answer of each of at most five candidates; none of them agrees with itself."""
    left = [list(votes) for votes in said.split()]
    lock = threading.Lock()

    def answer(request: ChatRequest) -> str:
        if request.label.step is Step.EXECUTE:
            with lock:
                return f"The answer is {left[request.label.candidate - 1].pop(0)}."
        if request.label.step is Step.FINAL:
            return f"The answer is {left[request.label.candidate - 1][-1]}."
        return "Rating: [[1]]"

    outcome = run(Desk(answer, effort="auto", bestofn_n=5))
    assert (len(outcome.candidates), outcome.answer) == (candidates, "The answer is 5.")


def test_auto_takes_a_single_solution_for_no_agreement() -> None:
    """The plans that failed might have come to another one: there is a review."""
    cut = iter([True, True])
    lock = threading.Lock()

    def answer(request: ChatRequest) -> Any:
        with lock:
            flawed = request.label.step is Step.PLAN and next(cut, False)
        return completion("cut", "length") if flawed else "The answer is 5."

    it = Desk(answer, effort="auto", bestofn_n=1, planning_m=3)
    assert run(it).answer == "The answer is 5."
    assert count(it) == {Step.PLAN: 3, Step.EXECUTE: 1, Step.REVIEW: 1, Step.FINAL: 1}


def test_auto_begins_no_candidate_after_a_hopeless_error() -> None:
    """The next would meet the same."""
    it = Desk(lambda _: WrongKey("wrong"), effort="auto")
    with pytest.raises(WrongKey):
        run(it)
    assert {request.label.candidate for request in it.client.requests} == {1}
