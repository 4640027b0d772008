"""The result of one request: its answers, and how they were chosen."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.core.chat import Usage
from optillm_cerebras_cepo.core.errors import CepoError, ErrorScope, NoAnswer, OutOfBudget
from optillm_cerebras_cepo.response_format import is_object
from optillm_cerebras_cepo.voting.algebra_process import equal_formulas
from optillm_cerebras_cepo.voting.comparison import SameFormula
from optillm_cerebras_cepo.voting.vote import vote

Ratings = tuple[float | None, ...]

SENDING = 0.5  # share of the time kept for choosing that is left for sending the answer


@dataclass(frozen=True)
class Answer:
    """One answer for the client.

    `finish_reason` is the model's own, and `usage` that of the call that wrote the answer. A planned answer has
    `tool_calls` only if it consists of a function's arguments.
    """

    text: str = field(repr=False)
    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)
    tool_calls: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    reasoning: str = field(default="", repr=False)

    def as_call(self, function: str) -> Answer:
        """Return an answer that calls this function with the text as its arguments.

        An answer that is no JSON object stays a text, because a client could not read its arguments. `degraded` then
        says what is wrong with it.
        """
        if not is_object(self.text):
            return self
        called = {"name": function, "arguments": self.text}
        call = {"id": f"call_{uuid.uuid4().hex}", "type": "function", "function": called}
        return replace(self, text="", finish_reason="tool_calls", tool_calls=(call,))


@dataclass(frozen=True)
class Outcome:
    """The answers, and how they were chosen."""

    answers: tuple[Answer, ...]  # at most as many as the client wants; the best first
    candidates: tuple[Candidate, ...] = ()  # those that have an answer; empty after a direct answer
    ratings: Ratings = ()  # one for each candidate; None where there is none
    chosen: int | None = None  # number of the candidate whose answer comes first
    # Share of the largest group of equal answers, 0 to 1; None where there is nothing to compare: fewer than two
    # candidates, or answers of which none is marked as one.
    agreement: float | None = None

    @property
    def answer(self) -> str:
        """Text of the first answer."""
        return self.answers[0].text


def formula_check(caller: StepCaller) -> SameFormula:
    """Return the check for equal formulas that a vote of this request uses.

    It returns None, so that texts are compared, as soon as the remaining time is needed for sending the answer. It
    raises the CepoError that ended the request if that error discards answers.
    """
    deadline = caller.deadline.whole.part(SENDING * caller.kept_for_choosing)

    def same(one: str, other: str) -> bool | None:
        result = equal_formulas.submit(one, other)
        try:
            return deadline.wait_for(result)
        except CepoError as error:
            result.cancel()
            if error.discards_answers:
                raise
            return None

    return same


def best_candidate(
    question: str,
    candidates: Sequence[Candidate],
    ratings: Ratings,
    votes: Sequence[str] = (),
    same_formula: SameFormula = equal_formulas,
) -> Candidate:
    """Return the candidate with the best rating; among equals the one whose answer has most votes; then the first.

    Args:
        question: what was asked.
        candidates: at least one.
        ratings: one for each candidate; one without a rating comes after every rated one.
        votes: further answers that count as votes, beside the candidates' own.
        same_formula: tells whether two formulas are equal.

    """
    best = max((rating for rating in ratings if rating is not None), default=None)
    tied = [candidate for candidate, rating in zip(candidates, ratings, strict=True) if rating == best]
    groups = vote(question, [*(candidate.answer for candidate in tied), *votes], same_formula).groups
    support = {index: len(group) for group in groups for index in group}
    return tied[max(range(len(tied)), key=lambda index: support[index])]


def choose(
    caller: StepCaller,
    candidates: Sequence[Candidate],
    ratings: Ratings,
    agreement: float | None,
    votes: Sequence[str] = (),
) -> Outcome:
    """Return as many answers as the client wants, the best first; note it if there are fewer candidates."""
    wanted = caller.request.parameters.n
    same_formula = formula_check(caller)
    left = dict(zip(candidates, ratings, strict=True))
    best: list[Candidate] = []
    while left and len(best) < wanted:
        question = caller.request.question.text
        best.append(best_candidate(question, tuple(left), tuple(left.values()), votes, same_formula))
        del left[best[-1]]
    if len(best) < wanted:
        caller.tracker.degraded.add(f"answers: {len(best)} of {wanted}, because no more candidates are left")
    answers = tuple(Answer(candidate.answer, candidate.finish_reason, candidate.usage) for candidate in best)
    return Outcome(answers, tuple(candidates), ratings, best[0].number, agreement)


def survivors(caller: StepCaller, results: Sequence[Candidate | CepoError]) -> tuple[Candidate, ...]:
    """Return the candidates among these results, and note the failures.

    Raises:
        CepoError: a failure that discards answers, or the reason why no candidate is left.

    """
    failures = [result for result in results if isinstance(result, CepoError)]
    candidates = tuple(result for result in results if isinstance(result, Candidate))
    for failure in failures:
        if failure.discards_answers:
            raise failure
    if not candidates:
        raise _most_useful(failures)
    for number, result in enumerate(results, 1):
        if isinstance(result, CepoError):
            caller.tracker.degraded.add(f"candidate {number} left out: {result.message}")
    return candidates


def _most_useful(failures: Sequence[CepoError]) -> CepoError:
    """Return the error to report if all candidates failed: the cause of the others, or one with all reasons."""
    if wide := [failure for failure in failures if failure.scope is not ErrorScope.CALL]:
        return wide[0]
    if budget := [failure for failure in failures if isinstance(failure, OutOfBudget)]:  # a larger budget helps
        return budget[0]
    if len({type(failure) for failure in failures}) == 1:
        return failures[0]
    reasons = "; ".join(dict.fromkeys(failure.message for failure in failures))
    return NoAnswer(f"no candidate has an answer: {reasons}")
