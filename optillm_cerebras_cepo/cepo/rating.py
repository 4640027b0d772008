"""Rating candidates with OptiLLM's raters: one candidate or one pair at a time, side by side.

A rating is a number or None, which means that there is none: the call failed, or its text says no number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

from optillm_cerebras_cepo.cepo import upstream
from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.cepo.seam import JudgeSeam
from optillm_cerebras_cepo.chat import Label, Step
from optillm_cerebras_cepo.errors import CepoError

Ratings = tuple[float | None, ...]


def rate(asker: Asker, candidates: Sequence[Candidate]) -> Ratings:
    """Rate each candidate by the configured kind of rating. A single one is not rated: it is chosen anyway.

    Raises a fatal CepoError only; a rating that fails for another reason is None and noted.
    """
    if len(candidates) < 2:
        return (None,) * len(candidates)
    match asker.settings.bestofn_rating_type:
        case "absolute":
            return _absolute(asker, candidates)
        case "pairwise":
            return _pairwise(asker, candidates)
        case "majority":
            return _majority(candidates)


def _absolute(asker: Asker, candidates: Sequence[Candidate]) -> Ratings:
    """Each candidate on its own, by a judge who says right (1) or wrong (0)."""

    def one(candidate: Candidate) -> float | None:
        return _judged(asker, upstream.rate_completions_absolute, [candidate])[0]

    with ThreadPoolExecutor(len(candidates)) as threads:
        return tuple(threads.map(one, candidates))


def _pairwise(asker: Asker, candidates: Sequence[Candidate]) -> Ratings:
    """How many comparisons each candidate wins; each pair is compared in both orders."""
    pairs = list(combinations(candidates, 2))

    def one(pair: tuple[Candidate, Candidate]) -> Ratings:
        return _judged(asker, upstream.rate_completions_pairwise, pair)

    with ThreadPoolExecutor(len(pairs)) as threads:
        results = list(threads.map(one, pairs))
    wins = dict.fromkeys(candidates, 0.0)
    for pair, result in zip(pairs, results, strict=True):
        for candidate, won in zip(pair, result, strict=True):
            wins[candidate] += won or 0
    return tuple(wins.values()) if any(None not in result for result in results) else (None,) * len(candidates)


def _majority(candidates: Sequence[Candidate]) -> Ratings:
    """1 for the candidate that speaks for the largest group, 0 for the others. No call is made."""
    chosen, _ = upstream.rate_completions_majority([candidate.answer for candidate in candidates])
    return tuple(float(candidate.answer == chosen) for candidate in candidates)


def _judged(asker: Asker, rater: Callable[..., Any], candidates: Sequence[Candidate]) -> Ratings:
    """Run one of OptiLLM's two judges over these candidates alone and take the ratings from its log."""
    names = " and ".join(str(candidate.number) for candidate in candidates)
    number = candidates[0].number if len(candidates) == 1 else 0
    log: dict[str, Any] = {}
    try:
        rater(
            system_prompt=asker.question.system,
            initial_query=asker.question.text,
            client=JudgeSeam(asker, Label(Step.RATING, number)),
            model=asker.model,
            completions=[candidate.answer for candidate in candidates],
            cepo_config=upstream.configuration(asker.settings, bestofn_n=len(candidates)),
            cb_log=log,
        )
    except CepoError as error:
        if error.fatal:
            raise
        asker.degraded.add(f"rating of candidate {names} left out: {error.message}")
        return (None,) * len(candidates)
    except IndexError:  # the judge named a response that there is not (cepo.py:866)
        log = {}
    ratings = tuple(None if rating == -1 else float(rating) for rating in log.get("ratings", (-1,) * len(candidates)))
    if None in ratings:
        asker.degraded.add(f"rating of candidate {names} left out: the judge's reply says no rating")
    return ratings
