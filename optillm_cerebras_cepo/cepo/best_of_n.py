"""Best of n: make the candidates side by side, rate them, and choose."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
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
from optillm_cerebras_cepo.cepo.outcome import Outcome, choose, formula_check, survivors
from optillm_cerebras_cepo.cepo.seam import CandidateSeam
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.cepo.workload import Workload, reserve_answer
from optillm_cerebras_cepo.core.chat import Listener
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import CepoError, OutOfTime
from optillm_cerebras_cepo.voting.vote import vote


def best_of_n(caller: StepCaller, rater: StepCaller, work: Workload, listener: Listener | None = None) -> Outcome:
    """Make all candidates side by side, and rate each as soon as it is finished.

    When the remaining time is needed for choosing, candidates that are late are ended if another one is finished.
    """
    wanted = work.candidates
    approaches = propose_approaches(caller, wanted) if work.approaches else []
    judge = judge_of(rater, wanted)
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
        except CepoError as error:
            judge.expect_one_less()
            return error

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
    ballot = vote(caller.request.question.text, [candidate.answer for candidate in candidates], formula_check(caller))
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
