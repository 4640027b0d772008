"""The algebra of the vote, within a request's time: a vote never makes an answer late."""

from __future__ import annotations

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.voting.equivalence import equal_formulas
from optillm_cerebras_cepo.voting.reading import SameFormula

SENDING = 0.5  # of the time that is kept for choosing: is left for sending the answer


def formula_check(asker: Asker) -> SameFormula:
    """Return the check for equal formulas that a vote of this request uses.

    It answers None, for which words decide, as soon as the time that is left is needed for sending the answer. It
    raises the CepoError that ended the request, if nobody waits for an answer any more.
    """
    deadline = asker.deadline.whole.part(SENDING * asker.kept_for_choosing)

    def same(one: str, other: str) -> bool | None:
        answer = equal_formulas.submit(one, other)
        try:
            return deadline.wait_for(answer)
        except CepoError as error:
            answer.cancel()
            if error.discards_answers:
                raise
            return None

    return same
