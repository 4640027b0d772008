"""Best of n: candidates side by side, their ratings, and the choice.

What fails is left out, and noted, as long as an answer is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.candidate import Candidate, make_candidate, propose_approaches
from optillm_cerebras_cepo.cepo.rating import Panel, Ratings
from optillm_cerebras_cepo.cepo.stopping import confidence, decided, unanimous
from optillm_cerebras_cepo.chat import Label, Message, Step
from optillm_cerebras_cepo.errors import CepoError, NoAnswer
from optillm_cerebras_cepo.voting.equivalence import equal_formulas
from optillm_cerebras_cepo.voting.vote import agree, vote

DIRECT_TOKENS = 2000  # of a direct answer, when the request names no limit
SURE = 0.95  # Adaptive-Consistency's own threshold


@dataclass(frozen=True)
class Outcome:
    """What one request came to.

    Attributes:
        answer: the text for the client.
        finish_reason: "stop", or the model's own after a direct answer.
        candidates: those that have an answer; none after a direct answer.
        ratings: beside `candidates`.
        chosen: the number of the candidate that answers.
        agreement: share of the largest group of equal answers, 0 to 1; None where there is nothing to compare.

    """

    answer: str
    finish_reason: str = "stop"
    candidates: tuple[Candidate, ...] = ()
    ratings: Ratings = ()
    chosen: int | None = None
    agreement: float | None = None


def solve(asker: Asker, rater: Asker, max_tokens: int | None = None) -> Outcome:
    """Answer the question with the configured effort.

    Args:
        asker: the way to the model that plans and answers.
        rater: the way to the model that rates.
        max_tokens: the client's limit, which a direct answer keeps to.

    Raises:
        CepoError: there is no answer to give.

    """
    if asker.settings.effort == "none":
        return answer_directly(asker, max_tokens or DIRECT_TOKENS)
    equal_formulas.start()  # takes a second, while the first plans are made
    match asker.settings.effort:
        case "auto":
            return answer_as_needed(asker, rater)
        case _:
            return best_of_n(asker, rater)


def answer_directly(asker: Asker, max_tokens: int) -> Outcome:
    """One call, no plan. A reply cut at the client's own limit is handed on as such."""
    completion = asker.ask(Label(Step.DIRECT), [Message("user", asker.question.text)], {}, max_tokens)
    if not completion.answer:
        raise NoAnswer("the model gave an empty reply; ask again, or raise max_tokens")
    return Outcome(completion.answer, completion.finish_reason or "stop")


def best_of_n(asker: Asker, rater: Asker) -> Outcome:
    """All candidates side by side, each rated as soon as it is there."""
    wanted = asker.settings.bestofn_n
    approaches = propose_approaches(asker) if asker.settings.use_plan_diversity else []
    panel = Panel(rater, wanted)

    def one(number: int) -> Candidate | CepoError:
        try:
            candidate = make_candidate(asker, number, _of(approaches, number))
            panel.judge(candidate)
            return candidate
        except CepoError as error:
            panel.lose()
            return error

    with ThreadPoolExecutor(wanted) as threads:
        candidates = _survivors(asker, list(threads.map(one, range(1, wanted + 1))))
    ratings = panel.ratings(candidates)
    best = choose(asker.question.text, candidates, ratings)
    ballot = vote(asker.question.text, [candidate.answer for candidate in candidates])
    return Outcome(
        best.answer,
        candidates=candidates,
        ratings=ratings,
        chosen=best.number,
        agreement=ballot.agreement if len(candidates) > 1 else None,
    )


def answer_as_needed(asker: Asker, rater: Asker) -> Outcome:
    """One candidate after another, as long as a further one may still change the choice.

    A candidate whose plans agree ends the search (early-stopping self-consistency, with the candidate as its window),
    and is not reviewed: there is no inconsistency to look for. Else every plan's solution is a vote, and so is the
    answer of each review; the search ends when Adaptive-Consistency's Beta criterion is sure of the leading answer.
    Candidates that disagree then are rated: votes alone follow a wrong answer that most plans come to.
    """
    question, wanted = asker.question.text, asker.settings.bestofn_n
    approaches = propose_approaches(asker) if asker.settings.use_plan_diversity else []
    results: list[Candidate | CepoError] = []
    votes: list[str] = []

    def inconsistent(solutions: Sequence[str]) -> bool:
        enough = len(solutions) >= min(2, asker.settings.planning_n)
        return not (enough and unanimous([len(group) for group in vote(question, solutions).groups]))

    for number in range(1, wanted + 1):
        try:
            candidate = make_candidate(asker, number, _of(approaches, number), review=inconsistent)
        except CepoError as error:
            results.append(error)
            if error.fatal:
                break
            continue
        results.append(candidate)
        votes += [*candidate.solutions, *([candidate.answer] if candidate.reviewed else [])]
        counts = [len(group) for group in vote(question, votes).groups]
        left = (wanted - number) * (asker.settings.planning_n + 1)
        if not candidate.reviewed or confidence(counts) >= SURE or decided(counts, left):
            break
    candidates = _survivors(asker, results)
    differ = not agree(question, [candidate.answer for candidate in candidates])
    ratings = _rated(rater, candidates) if differ else (None,) * len(candidates)
    best = choose(question, candidates, ratings, votes)
    return Outcome(
        best.answer,
        candidates=candidates,
        ratings=ratings,
        chosen=best.number,
        agreement=vote(question, votes).agreement,
    )


def _rated(rater: Asker, candidates: Sequence[Candidate]) -> Ratings:
    """Ratings of candidates that are all there, side by side."""
    panel = Panel(rater, len(candidates))
    with ThreadPoolExecutor(len(candidates)) as threads:
        list(threads.map(panel.judge, candidates))
    return panel.ratings(candidates)


def choose(question: str, candidates: Sequence[Candidate], ratings: Ratings, votes: Sequence[str] = ()) -> Candidate:
    """The one rated best; among equals the one whose answer most of them, and of these votes, give; then the first.

    A candidate without a rating stands behind every rated one.
    """
    best = max((rating for rating in ratings if rating is not None), default=None)
    tied = [candidate for candidate, rating in zip(candidates, ratings, strict=True) if rating == best]
    groups = vote(question, [*(candidate.answer for candidate in tied), *votes]).groups
    support = {index: len(group) for group in groups for index in group}
    return tied[max(range(len(tied)), key=lambda index: support[index])]


def _of(approaches: Sequence[str], number: int) -> str | None:
    """The candidate's approach. Where there are fewer than candidates, they share them."""
    return approaches[(number - 1) % len(approaches)] if approaches else None


def _survivors(asker: Asker, results: Sequence[Candidate | CepoError]) -> tuple[Candidate, ...]:
    """The candidates among these, the failures noted. Raises a fatal failure, or NoAnswer when no candidate is left."""
    failures = [result for result in results if isinstance(result, CepoError)]
    for failure in failures:
        if failure.fatal:
            raise failure
    candidates = tuple(result for result in results if isinstance(result, Candidate))
    if not candidates:
        raise failures[0] if len({type(failure) for failure in failures}) == 1 else _no_answer(failures)
    for number, result in enumerate(results, 1):
        if isinstance(result, CepoError):
            asker.degraded.add(f"candidate {number} left out: {result.message}")
    return candidates


def _no_answer(failures: Sequence[CepoError]) -> NoAnswer:
    reasons = "; ".join(dict.fromkeys(failure.message for failure in failures))
    return NoAnswer(f"no candidate has an answer: {reasons}")
