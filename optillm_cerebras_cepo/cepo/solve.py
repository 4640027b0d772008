"""Answer a question: directly, or with the largest workload that the resources allow.

A step that fails is left out and noted, as long as there is an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from optillm_cerebras_cepo.cepo.adaptive import adaptive
from optillm_cerebras_cepo.cepo.best_of_n import best_of_n
from optillm_cerebras_cepo.cepo.outcome import Answer, Outcome, failed_for_time
from optillm_cerebras_cepo.cepo.repair import repair
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.cepo.workload import Workload, expected_costs, fit_to_resources, requested_workload
from optillm_cerebras_cepo.core.chat import Completion, Label, Listener, Message, PassthroughRequest, Step
from optillm_cerebras_cepo.core.errors import CepoError, NoAnswer
from optillm_cerebras_cepo.voting.algebra_process import equal_formulas


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


def answer_directly(caller: StepCaller, listener: Listener | None = None) -> Outcome:
    """Make one call for each answer. A reply that is cut at the client's own limit is an answer too."""
    prompts = [Message("user", caller.request.question.text)]
    return _call_for_each(caller, lambda label: caller.write(label, prompts, {}, listener))


def pass_through(caller: StepCaller, request: PassthroughRequest, listener: Listener | None = None) -> Outcome:
    """Make one call for each answer, with the client's own messages and tools."""
    return _call_for_each(caller, lambda label: caller.pass_through(label, request, listener))


def _call_for_each(caller: StepCaller, call: Callable[[Label], Completion]) -> Outcome:
    """Make as many calls side by side as answers are wanted; leave out those that fail while another succeeds."""
    wanted = caller.request.parameters.n
    if wanted == 1:
        return Outcome((_answer(call(Label(Step.DIRECT))),))

    def one(number: int) -> Answer | CepoError:
        try:
            return _answer(call(Label(Step.DIRECT, number)))
        except CepoError as error:
            return error

    with ThreadPoolExecutor(wanted) as threads:
        results = list(threads.map(one, range(1, wanted + 1)))
    answers = tuple(result for result in results if isinstance(result, Answer))
    failures = [result for result in results if isinstance(result, CepoError)]
    final = [failure for failure in failures if failure.discards_answers]
    if final or not answers:
        raise (final or failures)[0]
    for failure in failures:
        caller.tracker.degraded.add(f"an answer left out: {failure.message}")
    return Outcome(answers)


def _answer(completion: Completion) -> Answer:
    if not completion.answer and not completion.tool_calls:
        raise NoAnswer("the model's reply is empty; ask again, or raise max_tokens")
    reason = completion.finish_reason or "stop"
    return Answer(completion.answer, reason, completion.usage, completion.tool_calls, completion.reasoning)
