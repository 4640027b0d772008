"""Effort `auto`: make candidates one by one until another one could not change the choice.

The rules for stopping are published ones, over the sizes of groups of equal answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import comb

from optillm_cerebras_cepo.cepo.candidate import (
    Candidate,
    approach_of,
    make_candidate,
    propose_approaches,
    without_solution,
)
from optillm_cerebras_cepo.cepo.judge import judge_of
from optillm_cerebras_cepo.cepo.outcome import Outcome, Ratings, choose, formula_check, survivors
from optillm_cerebras_cepo.cepo.seam import CandidateSeam
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.cepo.workload import (
    Workload,
    cost_of_another_candidate,
    expected_costs,
    reserve_answer,
    shortfall,
)
from optillm_cerebras_cepo.core.chat import Listener
from optillm_cerebras_cepo.core.errors import CepoError, ErrorScope
from optillm_cerebras_cepo.core.events import PlansCompared
from optillm_cerebras_cepo.voting.vote import vote

CONFIDENT = 0.95  # Adaptive-Consistency's own threshold


def adaptive(caller: StepCaller, rater: StepCaller, work: Workload, listener: Listener | None = None) -> Outcome:
    """Make one candidate after another, while a further one can change the choice and fits the resources.

    A candidate whose plans agree ends the search (early-stopping self-consistency, with the candidate as its window)
    and is not reviewed. Else every plan's solution is a vote, and so is the answer of each review; the search ends when
    Adaptive-Consistency's Beta criterion is confident of the leading answer. Candidates that disagree at the end are
    rated, because votes alone choose a wrong answer that most plans reach.
    """
    question, settings = caller.request.question.text, caller.request.settings
    wanted = settings.bestofn_n
    approaches = propose_approaches(caller, wanted) if work.approaches else []
    results: list[Candidate | CepoError] = []
    votes: list[str] = []
    same_formula = formula_check(caller)

    def plans_differ(solutions: Sequence[str]) -> bool:
        groups = vote(question, solutions, same_formula).groups
        agreeing = max((len(group) for group in groups), default=0)
        caller.tracker.observer(PlansCompared(len(results) + 1, agreeing, len(solutions)))
        enough = len(solutions) >= min(2, settings.planning_n)
        return not (enough and unanimous([len(group) for group in groups]))

    def listen(seam: CandidateSeam) -> Listener | None:
        # An answer that was not reviewed ends the search. After other candidates, one of these may be chosen.
        return listener if not results and (wanted == 1 or not seam.reviewed) else None

    for number in range(1, wanted + 1):
        if results:
            costs = expected_costs(caller, rater)
            missing = shortfall(settings, cost_of_another_candidate(settings, work, costs, number), caller.resources)
            if missing:
                caller.tracker.degraded.add(f"{number - 1} of {wanted} candidates: {missing}")
                break
        try:
            with reserve_answer(caller, work) as budget:
                kept = caller.kept_for_answer if results else 0.0  # for rating it and those before it
                own = replace(caller, budget=budget, deadline=caller.deadline.part(kept))
                needs_review = plans_differ if work.review else without_solution
                approach = approach_of(approaches, number)
                candidate = make_candidate(own, number, approach, needs_review, listen)
        except CepoError as error:
            results.append(error)
            if error.scope is not ErrorScope.CALL:
                break
            continue
        results.append(candidate)
        votes += [*candidate.solutions, *([candidate.answer] if candidate.reviewed else [])]
        counts = [len(group) for group in vote(question, votes, same_formula).groups]
        votes_left = (wanted - number) * (settings.planning_n + 1)
        if not candidate.reviewed or confidence(counts) >= CONFIDENT or decided(counts, votes_left):
            break
    candidates = survivors(caller, results)
    agree = vote(question, [candidate.answer for candidate in candidates], same_formula).unanimous
    ratings = (None,) * len(candidates) if agree else _rated(rater, candidates)
    return choose(caller, candidates, ratings, vote(question, votes, same_formula).agreement, votes)


def _rated(rater: StepCaller, candidates: Sequence[Candidate]) -> Ratings:
    judge = judge_of(rater, len(candidates))
    with ThreadPoolExecutor(len(candidates)) as threads:
        list(threads.map(judge.rate, candidates))
    return judge.ratings(candidates)


def unanimous(counts: Sequence[int]) -> bool:
    """Return whether all samples of a window are equal (early-stopping self-consistency, arXiv 2401.10480).

    Args:
        counts: sizes of the groups of equal answers among the window's samples.

    """
    return len([count for count in counts if count]) == 1


def confidence(counts: Sequence[int]) -> float:
    """Return Adaptive-Consistency's Beta criterion, 0 to 1 (Aggarwal et al., EMNLP 2023, arXiv 2305.11860).

    The probability that the leading answer stays ahead of the next one: of a Beta(v1 + 1, v2 + 1) above one half, where
    v1 and v2 are the two largest counts. For whole counts that is a sum of binomials.
    """
    first, second = (*sorted(counts, reverse=True), 0, 0)[:2]
    tosses = first + second + 1
    return float(sum(comb(tosses, heads) for heads in range(first + 1)) / 2**tosses)


def decided(counts: Sequence[int], left: int) -> bool:
    """Return whether not even `left` further samples could put another answer ahead of the leading one."""
    first, second = (*sorted(counts, reverse=True), 0, 0)[:2]
    return first - second > left
