"""Make candidates, rate them, and choose: all side by side, or one by one for effort `auto`.

The rules by which `auto` stops are published ones, over the sizes of groups of equal answers.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from math import comb
from typing import Any

from optillm_cerebras_cepo.cepo.candidate import (
    Candidate,
    always,
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
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import CepoError, ErrorScope, OutOfTime
from optillm_cerebras_cepo.core.events import CandidatesCompared, PlansCompared
from optillm_cerebras_cepo.voting.comparison import SameFormula
from optillm_cerebras_cepo.voting.vote import Vote, vote

CONFIDENT = 0.95  # Adaptive-Consistency's own threshold


def best_of_n(caller: StepCaller, rater: StepCaller, work: Workload, listener: Listener | None = None) -> Outcome:
    """Make all candidates side by side. Rate each as soon as it is finished and any two answers differ.

    When the remaining time is needed for choosing, candidates that are late are ended if another one is finished.
    """
    wanted = work.candidates
    approaches = propose_approaches(caller, wanted) if work.approaches else []
    question, same_formula = caller.request.question.text, formula_check(caller)

    def answers_differ(finished: Sequence[Candidate]) -> bool:
        if caller.request.settings.rate_always:
            return True
        answers = [candidate.answer for candidate in finished]
        return len(answers) > 1 and not vote(question, answers, same_formula).unanimous

    judge = judge_of(rater, wanted, answers_differ)
    race = Race(caller.deadline, wanted, lambda: rater.kept_for_answer if work.ratings else rater.kept_for_choosing)

    def listen(_: CandidateSeam) -> Listener | None:
        return listener if wanted == 1 else None

    def one(number: int, own: StepCaller, reservation: ExitStack) -> Candidate | CepoError:
        try:
            with reservation:
                approach, needs_review = approach_of(approaches, number), always if work.review else without_solution
                candidate = make_candidate(own, number, approach, needs_review, listen)
            race.finish(number)
            if work.ratings:
                judge.rate(candidate)
            return candidate
        except BaseException as error:
            judge.expect_one_less()  # or the others would wait for it
            if isinstance(error, CepoError):
                return error
            raise

    with ThreadPoolExecutor(wanted) as threads:
        reservations = [ExitStack() for _ in range(wanted)]
        # All are reserved before any candidate spends.
        budgets = [stack.enter_context(reserve_answer(caller, work)) for stack in reservations]
        own = [replace(caller, deadline=part, budget=budget) for part, budget in zip(race.parts, budgets, strict=True)]
        pairs = enumerate(zip(own, reservations, strict=True), 1)
        running = [threads.submit(one, number, *pair) for number, pair in pairs]
        race.watch(running)
        # OptiLLM's defect: no_candidate_is_a_crash
        candidates = survivors(caller, [done.result() for done in running])
    ballot = _compared(caller, candidates, same_formula)
    agreement = ballot.agreement if len(candidates) > 1 else None
    return choose(caller, candidates, judge.ratings(candidates), agreement)


class Race:
    """Deadlines of candidates that run side by side. Thread-safe.

    Args:
        deadline: of the request.
        candidates: how many there are.
        kept: returns the seconds that choosing among them takes.

    """

    def __init__(self, deadline: Deadline, candidates: int, kept: Callable[[], float]) -> None:
        self._deadline = deadline
        self._kept = kept
        self._lock = threading.Lock()
        self._finished = 0
        self._running = {number: deadline.part() for number in range(1, candidates + 1)}
        self.parts = tuple(self._running.values())

    def finish(self, number: int) -> None:
        """Note that this candidate is finished; end the others if they are late."""
        with self._lock:
            del self._running[number]
            self._finished += 1
        self._end_late()

    def watch(self, running: Sequence[Future[Any]]) -> None:
        """Wait for all of these, and end those that are late."""
        left = self._deadline.remaining - self._kept()
        while wait(running, None if math.isinf(left) else max(0.0, left)).not_done and left > 0:
            left = self._deadline.remaining - self._kept()
        self._end_late()

    def _end_late(self) -> None:
        with self._lock:
            late = self._finished > 0 and self._deadline.remaining <= self._kept()
            parts = tuple(self._running.values()) if late else ()
        for part in parts:
            part.end(OutOfTime("the remaining time is needed for choosing among the other candidates"))


def adaptive(caller: StepCaller, rater: StepCaller, work: Workload, listener: Listener | None = None) -> Outcome:
    """Make one candidate after another, while a further one can change the choice and fits the resources.

    A candidate whose plans agree ends the search (early-stopping self-consistency, arXiv 2401.10480, with the candidate
    as its window) and is not reviewed. So do the first `auto_window` plans of the first candidate. Else every plan's
    solution is a vote, and so is the answer of each review; the search ends when Adaptive-Consistency's Beta criterion
    is confident of the leading answer. Candidates that disagree at the end are rated, because votes alone choose a
    wrong answer that most plans reach.
    """
    question, settings = caller.request.question.text, caller.request.settings
    wanted = settings.bestofn_n
    approaches = propose_approaches(caller, wanted) if work.approaches else []
    results: list[Candidate | CepoError] = []
    votes: list[str] = []
    same_formula = formula_check(caller)

    def plans_differ(solutions: Sequence[str]) -> bool:
        ballot = vote(question, solutions, same_formula)
        numbers = tuple(tuple(index + 1 for index in group) for group in ballot.groups)
        caller.tracker.observer(PlansCompared(len(results) + 1, numbers))
        return not (ballot.unanimous and len(solutions) >= min(2, settings.planning_n))

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
                window = settings.auto_window if number == 1 and work.review else None
                candidate = make_candidate(own, number, approach, needs_review, listen, window)
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
    agree = _compared(caller, candidates, same_formula).unanimous
    ratings = (None,) * len(candidates) if agree else _rated(rater, candidates)
    return choose(caller, candidates, ratings, vote(question, votes, same_formula).agreement, votes)


def _compared(caller: StepCaller, candidates: Sequence[Candidate], same_formula: SameFormula) -> Vote:
    ballot = vote(caller.request.question.text, [candidate.answer for candidate in candidates], same_formula)
    if len(candidates) > 1:
        numbers = tuple(tuple(candidates[index].number for index in group) for group in ballot.groups)
        caller.tracker.observer(CandidatesCompared(numbers))
    return ballot


def _rated(rater: StepCaller, candidates: Sequence[Candidate]) -> Ratings:
    judge = judge_of(rater, len(candidates))
    with ThreadPoolExecutor(len(candidates)) as threads:
        list(threads.map(judge.rate, candidates))
    return judge.ratings(candidates)


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
