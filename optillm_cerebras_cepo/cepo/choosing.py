"""Which candidate answers, and which come next."""

from __future__ import annotations

from collections.abc import Sequence

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.cepo.formula_check import formula_check
from optillm_cerebras_cepo.cepo.outcome import Answer, Outcome, Ratings
from optillm_cerebras_cepo.voting.equivalence import equal_formulas
from optillm_cerebras_cepo.voting.reading import SameFormula
from optillm_cerebras_cepo.voting.vote import vote


def choose(
    question: str,
    candidates: Sequence[Candidate],
    ratings: Ratings,
    votes: Sequence[str] = (),
    same_formula: SameFormula = equal_formulas,
) -> Candidate:
    """The one rated best; among equals the one whose answer most of them, and of these votes, give; then the first.

    A candidate without a rating stands behind every rated one.
    """
    best = max((rating for rating in ratings if rating is not None), default=None)
    tied = [candidate for candidate, rating in zip(candidates, ratings, strict=True) if rating == best]
    groups = vote(question, [*(candidate.answer for candidate in tied), *votes], same_formula).groups
    support = {index: len(group) for group in groups for index in group}
    return tied[max(range(len(tied)), key=lambda index: support[index])]


def best_first(
    question: str,
    candidates: Sequence[Candidate],
    ratings: Ratings,
    wanted: int,
    votes: Sequence[str] = (),
    same_formula: SameFormula = equal_formulas,
) -> tuple[Candidate, ...]:
    """As many as are wanted, each the one to choose when those before it are taken away."""
    left = dict(zip(candidates, ratings, strict=True))
    chosen: list[Candidate] = []
    while left and len(chosen) < wanted:
        chosen.append(choose(question, tuple(left), tuple(left.values()), votes, same_formula))
        del left[chosen[-1]]
    return tuple(chosen)


def choice(
    asker: Asker, candidates: tuple[Candidate, ...], ratings: Ratings, votes: Sequence[str], agreement: float | None
) -> Outcome:
    """As many of these candidates as answers are wanted, and how they were chosen; fewer are noted."""
    wanted = asker.parameters.n
    best = best_first(asker.question.text, candidates, ratings, wanted, votes, formula_check(asker))
    if len(best) < wanted:
        asker.degraded.add(f"answers: {len(best)} of {wanted}, for so many candidates are left")
    answers = tuple(Answer(candidate.answer, candidate.finish_reason) for candidate in best)
    return Outcome(answers, candidates, ratings, best[0].number, agreement)
