"""Rate candidates with OptiLLM's raters: each rating type is a class here, and `JUDGES` lists them.

Only the prompts of OptiLLM's raters are used. The absolute rater would ask for the same rating twice (cepo.py:754), the
pairwise one for both orders, one call after the other. Both read one exact wording only, and crash on a reply that was
cut (cepo.py:774). So an exception ends a rater as soon as its prompt has been answered, and `verdicts.py` reads the
reply.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, ClassVar

from optillm.cepo.cepo import rate_completions_absolute, rate_completions_pairwise

from optillm_cerebras_cepo.cepo.candidate import Candidate, configuration
from optillm_cerebras_cepo.cepo.outcome import Ratings
from optillm_cerebras_cepo.cepo.seam import Seam, options_of, prompts_of, reply
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.cepo.verdicts import read_preference, read_rating
from optillm_cerebras_cepo.core.chat import Label, Step
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.core.events import CandidateRated


class Judge:
    """Rating type `majority`, which rates nothing, and base of the others. Thread-safe.

    Args:
        caller: calls the model that rates.
        expected: number of candidates that may be rated.
        differ: returns whether ratings of these candidates can change the choice: not if all have the same answer.

    """

    answers_per_call: ClassVar[int] = 1  # that a prompt quotes

    def __init__(self, caller: StepCaller, expected: int, differ: Callable[[Sequence[Candidate]], bool]) -> None:
        self._caller = caller
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._expected = expected
        self._differ = differ
        self._arrived: list[Candidate] = []
        self._compared = 0  # how many of them were compared with those before
        self._needed = False  # whether ratings can change the choice
        self._ratings: dict[int, float | None] = {}

    @staticmethod
    def calls(candidates: int) -> int:
        """Return the number of calls that rating so many candidates takes; at least two candidates."""
        del candidates
        return 0

    def _rate(self, candidate: Candidate, earlier: Sequence[Candidate]) -> None:
        """Rate a candidate; `earlier` are those that were finished before."""

    def rate(self, candidate: Candidate) -> None:
        """Rate a finished candidate as soon as it is known that ratings can change the choice.

        It has no rating if they cannot, or if its call failed. Raise only errors that discard answers.
        """
        with self._changed:
            earlier = tuple(self._arrived)
            self._arrived.append(candidate)
            needed = self._needed
        needed = needed or self._differ((*earlier, candidate))
        with self._changed:
            self._compared += 1
            self._needed |= needed
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._needed or self._compared >= self._expected)
            # OptiLLM's defect: a_single_candidate_is_rated
            needed = self._needed and self._expected > 1
        if needed:
            self._rate(candidate, earlier)

    def expect_one_less(self) -> None:
        """Note that a candidate has failed. A single one that is left is not rated: it is chosen anyway."""
        with self._changed:
            self._expected -= 1
            self._changed.notify_all()

    def ratings(self, candidates: Sequence[Candidate]) -> Ratings:
        """Return the ratings of these candidates, None where there is none."""
        with self._lock:
            return tuple(self._ratings.get(candidate.number) for candidate in candidates)

    def _call(
        self,
        function: Callable[..., Any],
        candidates: Sequence[Candidate],
        read: Callable[[str], float | None],
        skipped: int = 0,
    ) -> float | None:
        """Return the verdict on these candidates; None, with a note, if the call failed or its reply has none.

        Args:
            function: OptiLLM's rater.
            candidates: one, or two in the order in which the rater gets them.
            read: reads the verdict from the reply.
            skipped: calls of the rater that are answered with an empty reply before the one that is made.

        """
        caller = self._caller
        names = " and ".join(str(candidate.number) for candidate in candidates)
        answers = [candidate.answer for candidate in candidates]
        note = caller.tracker.degraded.add
        try:
            function(
                system_prompt=caller.request.question.system,
                initial_query=caller.request.question.text,
                client=_RatingSeam(caller, Label(Step.RATING, candidates[-1].number), answers, skipped),
                model=caller.model.id,
                completions=answers,
                # OptiLLM's defect: pairs_are_of_candidates_that_do_not_exist
                cepo_config=configuration(caller.request.settings, bestofn_n=len(candidates)),
                cb_log={},
            )
        except _Reply as judged:
            verdict = read(judged.text)
            if verdict is None:
                note(f"rating of candidate {names} left out: the judge's reply has none")
            return verdict
        except CepoError as error:
            if error.discards_answers:
                raise
            note(f"rating of candidate {names} left out: {error.message}")
        return None


class AbsoluteJudge(Judge):
    """Rates each candidate by itself, from 0 (wrong) to 1 (right)."""

    @staticmethod
    def calls(candidates: int) -> int:
        """Return one call for each candidate."""
        return candidates

    def _rate(self, candidate: Candidate, earlier: Sequence[Candidate]) -> None:
        del earlier
        rating = self._call(rate_completions_absolute, [candidate], read_rating)
        with self._lock:
            self._ratings[candidate.number] = rating
        self._caller.tracker.observer(CandidateRated(candidate.number, rating))


class PairwiseJudge(Judge):
    """Compares each two candidates in both orders; a rating is the number of comparisons won."""

    answers_per_call = 2

    @staticmethod
    def calls(candidates: int) -> int:
        """Return two calls for each pair."""
        return candidates * (candidates - 1)

    def _rate(self, candidate: Candidate, earlier: Sequence[Candidate]) -> None:
        if not earlier:
            return
        # OptiLLM's defect: pairs_wait_for_each_other
        with ThreadPoolExecutor(2 * len(earlier)) as threads:
            orders = [(other, candidate, swapped) for other in earlier for swapped in (False, True)]
            for done in [threads.submit(self._compare, *order) for order in orders]:
                done.result()

    def _compare(self, first: Candidate, second: Candidate, swapped: bool) -> None:
        shown = (second, first) if swapped else (first, second)
        # OptiLLM's rater asks for both orders, one after the other.
        preferred = self._call(rate_completions_pairwise, [first, second], read_preference, skipped=int(swapped))
        if preferred is not None:
            with self._lock:
                for place, candidate in enumerate(shown):
                    won = self._ratings.get(candidate.number) or 0.0
                    self._ratings[candidate.number] = won + (place == preferred)


JUDGES: Mapping[str, type[Judge]] = {
    "absolute": AbsoluteJudge,
    "pairwise": PairwiseJudge,
    "majority": Judge,
}
"""The judge for each value of the setting `bestofn_rating_type`."""


def judge_of(rater: StepCaller, expected: int, differ: Callable[[Sequence[Candidate]], bool] = lambda _: True) -> Judge:
    """Return the judge that the settings name, for so many candidates."""
    return JUDGES[rater.request.settings.bestofn_rating_type](rater, expected, differ)


class _Reply(Exception):
    """The judge's reply, on its way out of OptiLLM's rater."""

    def __init__(self, text: str) -> None:
        super().__init__("the rater was left")
        self.text = text


class _RatingSeam(Seam):
    """Client for one run of a rater: makes one call and ends the rater with its reply.

    Args:
        caller: calls the model.
        label: the rating that it belongs to.
        answers: what is rated; if one is too long for the model, only its end is sent.
        skipped: calls that are answered with an empty reply before the one that is made.

    """

    def __init__(self, caller: StepCaller, label: Label, answers: Sequence[str], skipped: int) -> None:
        super().__init__(caller, label)
        self._answers = answers
        self._skipped = skipped

    def _create(self, **fields: Any) -> SimpleNamespace:
        if self._skipped:
            self._skipped -= 1
            return reply("", "stop", 0)
        # OptiLLM's defect: a_rating_is_asked_for_twice
        raise _Reply(self._caller.ask(self._label, prompts_of(fields), options_of(fields), self._answers).answer)
