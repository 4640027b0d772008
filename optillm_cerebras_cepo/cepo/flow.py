"""From a question to its answers: how much work it is worth and its means bear, and who does it.

What fails is left out, and noted, as long as an answer is left.
"""

from __future__ import annotations

from dataclasses import replace

from optillm_cerebras_cepo.cepo.as_needed import answer_as_needed
from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.best_of_n import best_of_n
from optillm_cerebras_cepo.cepo.direct import answer_directly, forward
from optillm_cerebras_cepo.cepo.means import costs
from optillm_cerebras_cepo.cepo.mending import in_form
from optillm_cerebras_cepo.cepo.outcome import Outcome
from optillm_cerebras_cepo.cepo.survivors import is_of_time
from optillm_cerebras_cepo.cepo.workload import Workload, asked_for, borne
from optillm_cerebras_cepo.chat import Listener
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.voting.equivalence import equal_formulas


def solve(asker: Asker, rater: Asker, listener: Listener | None = None) -> Outcome:
    """Answer the question with the configured effort, as far as time and budget bear it.

    Args:
        asker: the way to the model that plans and answers.
        rater: the way to the model that rates.
        listener: hears the answer while it is written, where it is known early that it is the one.

    Raises:
        CepoError: there is no answer to give.

    """
    asker.fitted.add(*asker.question.fitted, *asker.parameters.fitted)
    # What may have to be mended, or is one answer of several, is heard when it is done.
    heard = None if asker.form or asker.parameters.n > 1 else listener
    try:
        outcome = _solve(asker, rater, heard)
    except CepoError as error:
        if is_of_time(asker, error):
            raise asker.deadline.whole.exceeded() from error
        raise
    return in_form(asker, outcome, asker.form) if asker.form else outcome


def _solve(asker: Asker, rater: Asker, listener: Listener | None) -> Outcome:
    if asker.question.forward is not None:
        return forward(asker, asker.question.forward, listener)
    if asker.settings.effort == "none":
        return answer_directly(asker, listener)
    auto = asker.settings.effort == "auto"
    asker, work = _borne(asker, rater, max(1 if auto else asker.settings.bestofn_n, asker.parameters.n))
    if not work.plans:
        return answer_directly(asker, listener)
    equal_formulas.start()  # takes a second, while the first plans are made
    return (answer_as_needed if auto and asker.parameters.n == 1 else best_of_n)(asker, rater, work, listener)


def _borne(asker: Asker, rater: Asker, candidates: int) -> tuple[Asker, Workload]:
    """As much work as the request's means bear, and the asker for it; what is less than asked for is noted."""
    settings = asker.settings
    full = asked_for(settings, candidates)
    planned = borne(settings, full, asker.parameters.n, asker.left, costs(asker, rater))
    asker.degraded.add(*planned.degraded)
    fewer = {"planning_n": planned.work.plans}
    return replace(asker, settings=settings.model_copy(update=fewer)) if planned.degraded else asker, planned.work
