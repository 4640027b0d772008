"""Answer a question: find the workload that the resources allow, and run the algorithm for it.

A step that fails is left out and noted, as long as there is an answer.
"""

from __future__ import annotations

from dataclasses import replace

from optillm_cerebras_cepo.cepo.adaptive import adaptive
from optillm_cerebras_cepo.cepo.best_of_n import best_of_n
from optillm_cerebras_cepo.cepo.direct import answer_directly, pass_through
from optillm_cerebras_cepo.cepo.expected_costs import expected_costs
from optillm_cerebras_cepo.cepo.outcome import Outcome
from optillm_cerebras_cepo.cepo.repair import repair
from optillm_cerebras_cepo.cepo.selection import failed_for_time
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.cepo.workload import Workload, fit_to_resources, requested_workload
from optillm_cerebras_cepo.core.chat import Listener
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.voting.algebra_worker import equal_formulas


def solve(caller: StepCaller, rater: StepCaller, listener: Listener | None = None) -> Outcome:
    """Answer the question with the configured effort, as far as time and budget allow.

    Args:
        caller: calls the model that plans and answers.
        rater: calls the model that rates.
        listener: receives the answer while it is written, if no other answer can replace it.

    Raises:
        CepoError: there is no answer.

    """
    request = caller.request
    caller.tracker.fitted.add(*request.question.fitted, *request.parameters.fitted)
    # An answer that may be repaired, or is one of several, is not streamed.
    early = None if request.response_format or request.parameters.n > 1 else listener
    try:
        outcome = _solve(caller, rater, early)
    except CepoError as error:
        if failed_for_time(caller, error):
            raise caller.deadline.whole.exceeded() from error
        raise
    if request.response_format:
        outcome = repair(caller, outcome, request.response_format)
    if function := request.question.function:
        outcome = replace(outcome, answers=tuple(answer.as_call(function.name) for answer in outcome.answers))
    return outcome


def _solve(caller: StepCaller, rater: StepCaller, listener: Listener | None) -> Outcome:
    question, settings, answers = caller.request.question, caller.request.settings, caller.request.parameters.n
    if question.passthrough is not None:
        return pass_through(caller, question.passthrough, listener)
    if settings.effort == "none":
        return answer_directly(caller, listener)
    auto = settings.effort == "auto"
    caller, work = _fitted(caller, rater, max(1 if auto else settings.bestofn_n, answers))
    if not work.plans:
        return answer_directly(caller, listener)
    equal_formulas.start()  # takes a second, while the first plans are made
    return (adaptive if auto and answers == 1 else best_of_n)(caller, rater, work, listener)


def _fitted(caller: StepCaller, rater: StepCaller, candidates: int) -> tuple[StepCaller, Workload]:
    """Return the workload that fits the resources and the caller for it; note what is left out."""
    settings = caller.request.settings
    requested = requested_workload(settings, candidates)
    costs = expected_costs(caller, rater)
    fitted = fit_to_resources(settings, requested, caller.request.parameters.n, caller.resources, costs)
    if not fitted.degraded:
        return caller, fitted.work
    caller.tracker.degraded.add(*fitted.degraded)
    fewer = settings.model_copy(update={"planning_n": fitted.work.plans})
    return replace(caller, request=replace(caller.request, settings=fewer)), fitted.work
