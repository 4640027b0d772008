"""Rating candidates with OptiLLM's raters: one call a judgement, side by side, as soon as a candidate is there.

A rating is a number or None, which means that there is none: the call failed, or the reply says no number.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from optillm_cerebras_cepo.cepo import upstream
from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.cepo.judgement import read_preference, read_rating
from optillm_cerebras_cepo.cepo.outcome import Ratings
from optillm_cerebras_cepo.cepo.seam import Heard, JudgeSeam
from optillm_cerebras_cepo.chat import Label, Step
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.events import Rated


class Panel:
    """The judges of one request's candidates. Each method may be called from the candidate's own thread.

    Args:
        asker: the way to the model that rates.
        expected: how many candidates there may be. A single one is not rated: it is chosen anyway.

    """

    def __init__(self, asker: Asker, expected: int) -> None:
        self._asker = asker
        self._lock = threading.Lock()
        self._expected = expected
        self._arrived: list[Candidate] = []
        self._ratings: dict[int, float | None] = {}

    def lose(self) -> None:
        """Expect one candidate less."""
        with self._lock:
            self._expected -= 1

    def judge(self, candidate: Candidate) -> None:
        """Rate a finished candidate, or compare it with earlier ones. Raises only errors that discard answers."""
        with self._lock:
            earlier = tuple(self._arrived)
            self._arrived.append(candidate)
            # OptiLLM's defect: a_single_candidate_is_rated
            alone = self._expected < 2
        match self._asker.settings.bestofn_rating_type:
            case "absolute" if not alone:
                rating = self._rate(candidate)
                self._set(candidate, rating)
                self._asker.observer(Rated(candidate.number, rating))
            case "pairwise" if earlier:
                # OptiLLM's defect: pairs_wait_for_each_other
                with ThreadPoolExecutor(2 * len(earlier)) as threads:
                    orders = [(one, candidate, turn) for one in earlier for turn in (0, 1)]
                    for done in [threads.submit(self._compare, *order) for order in orders]:
                        done.result()

    def ratings(self, candidates: Sequence[Candidate]) -> Ratings:
        """What is known of these candidates: a judge's number, or the comparisons that each has won."""
        with self._lock:
            return tuple(self._ratings.get(candidate.number) for candidate in candidates)

    def _rate(self, candidate: Candidate) -> float | None:
        rating = self._hear(upstream.rate_completions_absolute, [candidate], 0, read_rating)
        return None if rating is None else float(rating)

    def _compare(self, first: Candidate, second: Candidate, turn: int) -> None:
        """One order of a pair; OptiLLM's rater takes them in turn."""
        shown = (first, second) if turn == 0 else (second, first)
        preferred = self._hear(upstream.rate_completions_pairwise, [first, second], turn, read_preference)
        if preferred is not None:
            with self._lock:
                for place, candidate in enumerate(shown):
                    won = self._ratings.get(candidate.number) or 0.0
                    self._ratings[candidate.number] = won + (place == preferred)

    def _set(self, candidate: Candidate, rating: float | None) -> None:
        with self._lock:
            self._ratings[candidate.number] = rating

    def _hear(
        self,
        rater: Callable[..., Any],
        candidates: Sequence[Candidate],
        turn: int,
        read: Callable[[str], float | None],
    ) -> float | None:
        """One judgement of these candidates, read from the judge's reply."""
        asker = self._asker
        names = " and ".join(str(candidate.number) for candidate in candidates)
        answers = [candidate.answer for candidate in candidates]
        try:
            rater(
                system_prompt=asker.question.system,
                initial_query=asker.question.text,
                client=JudgeSeam(asker, Label(Step.RATING, candidates[-1].number), turn, answers),
                model=asker.model,
                completions=answers,
                # OptiLLM's defect: pairs_are_of_candidates_that_do_not_exist
                cepo_config=upstream.configuration(asker.settings, bestofn_n=len(candidates)),
                cb_log={},
            )
        except Heard as heard:
            judgement = read(heard.text)
            if judgement is None:
                asker.degraded.add(f"rating of candidate {names} left out: the judge's reply says none")
            return judgement
        except CepoError as error:
            if error.discards_answers:
                raise
            asker.degraded.add(f"rating of candidate {names} left out: {error.message}")
        return None
