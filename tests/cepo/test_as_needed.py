"""Effort `auto`: as many candidates as it takes to be sure."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from support.desk import Desk, run
from support.scripted import completion

from optillm_cerebras_cepo.cepo.request import RequestTracker
from optillm_cerebras_cepo.core.chat import ChatRequest, Step
from optillm_cerebras_cepo.core.errors import ApiUnavailable, WrongKey
from optillm_cerebras_cepo.core.events import CandidatesCompared, Event, PlansCompared


def auto(*executions: str, final: str = "", **settings: Any) -> tuple[Desk, Any]:
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

    it = Desk(answer, effort="auto", **settings)
    return it, run(it)


def count(it: Desk) -> Counter[Step]:
    """How often each step was asked."""
    return Counter(request.label.step for request in it.client.requests)


def test_auto_finishes_at_once_when_the_plans_agree() -> None:
    """In any notation: two plans, two executions and the final answer, 5 calls; no review, no rating."""
    it, outcome = auto("The answer is 1/2.", r"It is \boxed{0.5}")
    assert count(it) == {Step.PLAN: 2, Step.EXECUTE: 2, Step.FINAL: 1}
    assert (outcome.agreement, len(outcome.candidates)) == (1.0, 1)


@pytest.mark.parametrize("window", [3, 7])
def test_a_wider_window_waits_for_more_plans_to_agree(window: int) -> None:
    """At most for all of them."""
    it, outcome = auto(*["The answer is 5."] * 3, auto_window=window)
    assert count(it) == {Step.PLAN: 3, Step.EXECUTE: 3, Step.FINAL: 1}
    assert outcome.agreement == 1.0


def test_two_plans_that_differ_are_followed_by_the_third() -> None:
    """Although it agrees with one of them, the three are reviewed."""
    it, _ = auto(*[f"The answer is {n}." for n in (5, 6, 5)], final="The answer is 5.", bestofn_n=1)
    assert count(it) == {Step.PLAN: 3, Step.EXECUTE: 3, Step.REVIEW: 1, Step.FINAL: 1}


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
    assert "candidate 1 left out: busy" in it.caller.tracker.degraded.lines


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
        ("5655 5575", 2),  # 6 votes to 1 and 1: sure by the Beta criterion, though 12 votes are left
        ("5655 5565 5676 5565", 4),  # 10 to 5: not sure, but the 4 votes that are left cannot change it
        ("5655 5565 5676 5685 5555", 5),  # 9 to 5 before the last: 4 votes could bring a tie
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


def test_groups_of_equal_answers_are_reported() -> None:
    """Of the plans of each candidate, and of the candidates at the end, by their numbers."""
    told: list[Event] = []
    solutions = (5, 6, 5, 7, 8, 9)
    left, lock = [f"The answer is {n}." for n in solutions], threading.Lock()

    def answer(request: ChatRequest) -> str:
        if request.label.step is Step.EXECUTE:
            with lock:
                return left.pop(0)
        return f"The answer is {request.label.candidate}." if request.label.step is Step.FINAL else "a plan"

    it = Desk(answer, effort="auto", bestofn_n=2)
    it.caller = replace(it.caller, tracker=RequestTracker(observer=told.append))
    run(it)
    plans = [event.groups for event in told if isinstance(event, PlansCompared) and len(event.groups[0]) > 1]
    assert [sorted(map(len, groups), reverse=True) for groups in plans] == [[2, 1]]
    assert all(sorted(chain(*groups)) == [1, 2, 3] for groups in plans)
    assert [event.groups for event in told if isinstance(event, CandidatesCompared)] == [((1,), (2,))]
