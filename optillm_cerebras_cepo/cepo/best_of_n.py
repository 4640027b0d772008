"""Best of n: candidates side by side, their ratings, and the choice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.candidate import (
    Candidate,
    always,
    approach_of,
    make_candidate,
    never,
    propose_approaches,
)
from optillm_cerebras_cepo.cepo.choosing import choice
from optillm_cerebras_cepo.cepo.formula_check import formula_check
from optillm_cerebras_cepo.cepo.means import holding
from optillm_cerebras_cepo.cepo.outcome import Outcome
from optillm_cerebras_cepo.cepo.race import Race
from optillm_cerebras_cepo.cepo.rating import Panel
from optillm_cerebras_cepo.cepo.seam import CandidateSeam
from optillm_cerebras_cepo.cepo.survivors import survivors
from optillm_cerebras_cepo.cepo.workload import Workload
from optillm_cerebras_cepo.chat import Listener
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.voting.vote import vote


def best_of_n(asker: Asker, rater: Asker, work: Workload, listener: Listener | None = None) -> Outcome:
    """All candidates side by side, each rated as soon as it is there.

    When the time that is left is needed for choosing, those that are late are ended if another is there.
    """
    wanted = work.candidates
    approaches = propose_approaches(asker, wanted) if work.approaches else []
    panel = Panel(rater, wanted)
    race = Race(asker.deadline, wanted, lambda: rater.kept_for_answer if work.ratings else rater.kept_for_choosing)

    def listen(_: CandidateSeam) -> Listener | None:
        return listener if wanted == 1 else None

    def one(number: int, own: Asker, hold: ExitStack) -> Candidate | CepoError:
        try:
            with hold:
                approach, review = approach_of(approaches, number), always if work.review else never
                candidate = make_candidate(own, number, approach, review, listen)
            race.finish(number)
            if work.ratings:
                panel.judge(candidate)
            return candidate
        except CepoError as error:
            panel.lose()
            return error

    with ThreadPoolExecutor(wanted) as threads:
        holds = [ExitStack() for _ in range(wanted)]
        budgets = [hold.enter_context(holding(asker, work)) for hold in holds]  # all, before any candidate spends
        own = [replace(asker, deadline=part, budget=budget) for part, budget in zip(race.parts, budgets, strict=True)]
        running = [threads.submit(one, number, *its) for number, its in enumerate(zip(own, holds, strict=True), 1)]
        race.watch(running)
        # OptiLLM's defect: no_candidate_is_a_crash
        candidates = survivors(asker, [done.result() for done in running])
    ballot = vote(asker.question.text, [candidate.answer for candidate in candidates], formula_check(asker))
    agreement = ballot.agreement if len(candidates) > 1 else None
    return choice(asker, candidates, panel.ratings(candidates), (), agreement)
