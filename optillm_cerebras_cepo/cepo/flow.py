"""Best of n: candidates side by side, their ratings, and the choice.

What fails is left out, and noted, as long as an answer is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.candidate import Candidate, make_candidate, propose_approaches
from optillm_cerebras_cepo.cepo.rating import Ratings, rate
from optillm_cerebras_cepo.chat import Label, Message, Step
from optillm_cerebras_cepo.errors import CepoError, NoAnswer

DIRECT_TOKENS = 2000  # of a direct answer, when the request names no limit


@dataclass(frozen=True)
class Outcome:
    """What one request came to. `ratings` stands beside `candidates`; both are empty after a direct answer."""

    answer: str
    finish_reason: str = "stop"
    candidates: tuple[Candidate, ...] = ()
    ratings: Ratings = ()
    chosen: int | None = None  # the number of the candidate that answers


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
    candidates = make_candidates(asker)
    ratings = rate(rater, candidates)
    best = choose(candidates, ratings)
    return Outcome(best.answer, candidates=candidates, ratings=ratings, chosen=best.number)


def answer_directly(asker: Asker, max_tokens: int) -> Outcome:
    """One call, no plan. A reply cut at the client's own limit is handed on as such."""
    completion = asker.ask(Label(Step.DIRECT), [Message("user", asker.question.text)], {}, max_tokens)
    if not completion.answer:
        raise NoAnswer("the model gave an empty reply; ask again, or raise max_tokens")
    return Outcome(completion.answer, completion.finish_reason or "stop")


def make_candidates(asker: Asker) -> tuple[Candidate, ...]:
    """Make all candidates side by side and keep those that have an answer.

    Raises:
        CepoError: a fatal error, or NoAnswer when no candidate is left.

    """
    wanted = asker.settings.bestofn_n
    approaches = propose_approaches(asker) if asker.settings.use_plan_diversity else []

    def one(number: int) -> Candidate | CepoError:
        try:
            return make_candidate(asker, number, approaches[(number - 1) % len(approaches)] if approaches else None)
        except CepoError as error:
            return error

    with ThreadPoolExecutor(wanted) as threads:
        results = list(threads.map(one, range(1, wanted + 1)))
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


def choose(candidates: Sequence[Candidate], ratings: Ratings) -> Candidate:
    """The first of those rated best; a candidate without a rating stands behind every rated one."""
    rated = [
        (-1.0 if rating is None else rating, candidate) for candidate, rating in zip(candidates, ratings, strict=True)
    ]
    return max(rated, key=lambda pair: pair[0])[1]


def _no_answer(failures: Sequence[CepoError]) -> NoAnswer:
    reasons = "; ".join(dict.fromkeys(failure.message for failure in failures))
    return NoAnswer(f"no candidate has an answer: {reasons}")
