"""Effort `auto`: as many candidates as it takes to be sure."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.candidate import Candidate, approach_of, make_candidate, never, propose_approaches
from optillm_cerebras_cepo.cepo.choosing import choice
from optillm_cerebras_cepo.cepo.formula_check import formula_check
from optillm_cerebras_cepo.cepo.means import costs, holding
from optillm_cerebras_cepo.cepo.outcome import Outcome, Ratings
from optillm_cerebras_cepo.cepo.rating import Panel
from optillm_cerebras_cepo.cepo.seam import CandidateSeam
from optillm_cerebras_cepo.cepo.stopping import confidence, decided, unanimous
from optillm_cerebras_cepo.cepo.survivors import survivors
from optillm_cerebras_cepo.cepo.workload import Workload, bill_of_another, short_of
from optillm_cerebras_cepo.chat import Listener
from optillm_cerebras_cepo.errors import CepoError, Ends
from optillm_cerebras_cepo.events import Agreed
from optillm_cerebras_cepo.voting.vote import vote

SURE = 0.95  # Adaptive-Consistency's own threshold


def answer_as_needed(asker: Asker, rater: Asker, work: Workload, listener: Listener | None = None) -> Outcome:
    """One candidate after another, as long as a further one may still change the choice, and can be borne.

    A candidate whose plans agree ends the search (early-stopping self-consistency, with the candidate as its window),
    and is not reviewed: there is no inconsistency to look for. Else every plan's solution is a vote, and so is the
    answer of each review; the search ends when Adaptive-Consistency's Beta criterion is sure of the leading answer.
    Candidates that disagree then are rated: votes alone follow a wrong answer that most plans come to.
    """
    question, wanted = asker.question.text, asker.settings.bestofn_n
    approaches = propose_approaches(asker, wanted) if work.approaches else []
    results: list[Candidate | CepoError] = []
    votes: list[str] = []
    same_formula = formula_check(asker)

    def inconsistent(solutions: Sequence[str]) -> bool:
        groups = vote(question, solutions, same_formula).groups
        agreeing = max((len(group) for group in groups), default=0)
        asker.observer(Agreed(len(results) + 1, agreeing, len(solutions)))
        enough = len(solutions) >= min(2, asker.settings.planning_n)
        return not (enough and unanimous([len(group) for group in groups]))

    def listen(seam: CandidateSeam) -> Listener | None:
        # An answer that was not reviewed ends the search; when other candidates went before it, it may not be chosen.
        return listener if not results and (wanted == 1 or not seam.reviewed) else None

    for number in range(1, wanted + 1):
        if results and (shortage := _shortage(asker, rater, work, number)):
            asker.degraded.add(f"{number - 1} of {wanted} candidates: {shortage}")
            break
        try:
            with holding(asker, work) as budget:
                kept = asker.kept_for_answer if results else 0.0  # for rating it and those before it
                own = replace(asker, budget=budget, deadline=asker.deadline.part(kept))
                approach, review = approach_of(approaches, number), inconsistent if work.review else never
                candidate = make_candidate(own, number, approach, review, listen)
        except CepoError as error:
            results.append(error)
            if error.ends is not Ends.CALL:
                break
            continue
        results.append(candidate)
        votes += [*candidate.solutions, *([candidate.answer] if candidate.reviewed else [])]
        counts = [len(group) for group in vote(question, votes, same_formula).groups]
        left = (wanted - number) * (asker.settings.planning_n + 1)
        if not candidate.reviewed or confidence(counts) >= SURE or decided(counts, left):
            break
    candidates = survivors(asker, results)
    differ = not vote(question, [candidate.answer for candidate in candidates], same_formula).unanimous
    ratings = _rated(rater, candidates) if differ else (None,) * len(candidates)
    return choice(asker, candidates, ratings, votes, vote(question, votes, same_formula).agreement)


def _shortage(asker: Asker, rater: Asker, work: Workload, number: int) -> str:
    """What is lacking for one more candidate; empty where nothing is."""
    return short_of(asker.settings, bill_of_another(asker.settings, work, costs(asker, rater), number), asker.left)


def _rated(rater: Asker, candidates: Sequence[Candidate]) -> Ratings:
    """Ratings of candidates that are all there, side by side."""
    panel = Panel(rater, len(candidates))
    with ThreadPoolExecutor(len(candidates)) as threads:
        list(threads.map(panel.judge, candidates))
    return panel.ratings(candidates)
