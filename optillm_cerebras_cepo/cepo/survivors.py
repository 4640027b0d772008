"""What is left of a request when parts of it have failed, and what to tell its client when nothing is."""

from __future__ import annotations

from collections.abc import Sequence

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.errors import ApiTimeout, CepoError, Ends, NoAnswer, OutOfBudget, OutOfTime


def survivors(asker: Asker, results: Sequence[Candidate | CepoError]) -> tuple[Candidate, ...]:
    """Return the candidates among these, and note the failures.

    Raises:
        CepoError: a failure that discards answers, or the reason why no candidate is left.

    """
    failures = [result for result in results if isinstance(result, CepoError)]
    candidates = tuple(result for result in results if isinstance(result, Candidate))
    for failure in failures:
        if failure.discards_answers:
            raise failure
    if not candidates:
        raise _worst(failures)
    for number, result in enumerate(results, 1):
        if isinstance(result, CepoError):
            asker.degraded.add(f"candidate {number} left out: {result.message}")
    return candidates


def is_of_time(asker: Asker, error: CepoError) -> bool:
    """Whether the request failed because its time is over, whichever call was the last to notice."""
    over = asker.deadline.remaining <= 2 * asker.kept_for_choosing
    return isinstance(error, OutOfTime) or (over and isinstance(error, ApiTimeout | NoAnswer))


def _worst(failures: Sequence[CepoError]) -> CepoError:
    """What to tell when all have failed: what they have in common, or all reasons."""
    if wide := [failure for failure in failures if failure.ends is not Ends.CALL]:  # what the others failed for, too
        return wide[0]
    if poor := [failure for failure in failures if isinstance(failure, OutOfBudget)]:  # more budget is what helps
        return poor[0]
    if len({type(failure) for failure in failures}) == 1:
        return failures[0]
    reasons = "; ".join(dict.fromkeys(failure.message for failure in failures))
    return NoAnswer(f"no candidate has an answer: {reasons}")
