"""Best of n: candidates side by side, their ratings, and the choice.

What fails is left out, and noted, as long as an answer is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.candidate import Candidate, make_candidate, propose_approaches
from optillm_cerebras_cepo.cepo.choosing import best_first
from optillm_cerebras_cepo.cepo.direct import answer_directly, forward
from optillm_cerebras_cepo.cepo.mending import in_form
from optillm_cerebras_cepo.cepo.outcome import Answer, Outcome, Ratings
from optillm_cerebras_cepo.cepo.rating import Panel
from optillm_cerebras_cepo.cepo.seam import CandidateSeam
from optillm_cerebras_cepo.cepo.stopping import confidence, decided, unanimous
from optillm_cerebras_cepo.chat import Listener
from optillm_cerebras_cepo.errors import CepoError, NoAnswer
from optillm_cerebras_cepo.events import Agreed
from optillm_cerebras_cepo.voting.equivalence import equal_formulas
from optillm_cerebras_cepo.voting.vote import agree, vote

SURE = 0.95  # Adaptive-Consistency's own threshold


def solve(asker: Asker, rater: Asker, listener: Listener | None = None) -> Outcome:
    """Answer the question with the configured effort.

    Args:
        asker: the way to the model that plans and answers.
        rater: the way to the model that rates.
        listener: hears the answer while it is written, where it is known early that it is the one.

    Raises:
        CepoError: there is no answer to give.

    """
    # What may have to be mended, or is one answer of several, is heard when it is done.
    outcome = _solve(asker, rater, None if asker.form or asker.parameters.n > 1 else listener)
    return in_form(asker, outcome, asker.form) if asker.form else outcome


def _solve(asker: Asker, rater: Asker, listener: Listener | None) -> Outcome:
    if asker.question.forward is not None:
        return forward(asker, asker.question.forward, listener)
    if asker.settings.effort == "none":
        return answer_directly(asker, listener)
    equal_formulas.start()  # takes a second, while the first plans are made
    if asker.settings.effort == "auto" and asker.parameters.n == 1:
        return answer_as_needed(asker, rater, listener)
    return best_of_n(asker, rater, listener)


def best_of_n(asker: Asker, rater: Asker, listener: Listener | None = None) -> Outcome:
    """All candidates side by side, each rated as soon as it is there; at least as many as answers are wanted."""
    wanted = max(_configured(asker), asker.parameters.n)
    approaches = propose_approaches(asker, wanted) if asker.settings.use_plan_diversity else []
    panel = Panel(rater, wanted)

    def listen(_: CandidateSeam) -> Listener | None:
        return listener if wanted == 1 else None

    def one(number: int) -> Candidate | CepoError:
        try:
            candidate = make_candidate(asker, number, _of(approaches, number), listen=listen)
            panel.judge(candidate)
            return candidate
        except CepoError as error:
            panel.lose()
            return error

    with ThreadPoolExecutor(wanted) as threads:
        candidates = _survivors(asker, list(threads.map(one, range(1, wanted + 1))))
    ratings = panel.ratings(candidates)
    ballot = vote(asker.question.text, [candidate.answer for candidate in candidates])
    return _outcome(asker, candidates, ratings, (), ballot.agreement if len(candidates) > 1 else None)


def answer_as_needed(asker: Asker, rater: Asker, listener: Listener | None = None) -> Outcome:
    """One candidate after another, as long as a further one may still change the choice.

    A candidate whose plans agree ends the search (early-stopping self-consistency, with the candidate as its window),
    and is not reviewed: there is no inconsistency to look for. Else every plan's solution is a vote, and so is the
    answer of each review; the search ends when Adaptive-Consistency's Beta criterion is sure of the leading answer.
    Candidates that disagree then are rated: votes alone follow a wrong answer that most plans come to.
    """
    question, wanted = asker.question.text, asker.settings.bestofn_n
    approaches = propose_approaches(asker, wanted) if asker.settings.use_plan_diversity else []
    results: list[Candidate | CepoError] = []
    votes: list[str] = []

    def inconsistent(solutions: Sequence[str]) -> bool:
        groups = vote(question, solutions).groups
        agreeing = max((len(group) for group in groups), default=0)
        asker.observer(Agreed(len(results) + 1, agreeing, len(solutions)))
        enough = len(solutions) >= min(2, asker.settings.planning_n)
        return not (enough and unanimous([len(group) for group in groups]))

    def listen(seam: CandidateSeam) -> Listener | None:
        # An answer that was not reviewed ends the search; when other candidates went before it, it may not be chosen.
        return listener if not results and (wanted == 1 or not seam.reviewed) else None

    for number in range(1, wanted + 1):
        try:
            candidate = make_candidate(asker, number, _of(approaches, number), inconsistent, listen)
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
    return _outcome(asker, candidates, ratings, votes, vote(question, votes).agreement)


def _outcome(
    asker: Asker, candidates: tuple[Candidate, ...], ratings: Ratings, votes: Sequence[str], agreement: float | None
) -> Outcome:
    wanted = asker.parameters.n
    best = best_first(asker.question.text, candidates, ratings, wanted, votes)
    if len(best) < wanted:
        asker.degraded.add(f"answers: {len(best)} of {wanted}, for so many candidates are left")
    answers = tuple(Answer(candidate.answer, candidate.finish_reason) for candidate in best)
    return Outcome(answers, candidates, ratings, best[0].number, agreement)


def _configured(asker: Asker) -> int:
    """Candidates, before answers are counted: as needed, effort `auto` begins with one."""
    return 1 if asker.settings.effort == "auto" else asker.settings.bestofn_n


def _rated(rater: Asker, candidates: Sequence[Candidate]) -> Ratings:
    """Ratings of candidates that are all there, side by side."""
    panel = Panel(rater, len(candidates))
    with ThreadPoolExecutor(len(candidates)) as threads:
        list(threads.map(panel.judge, candidates))
    return panel.ratings(candidates)


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
