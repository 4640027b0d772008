"""Answer a question: directly, or with the largest workload that the resources allow.

A step that fails is left out and noted, as long as there is an answer.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from optillm_cerebras_cepo.cepo.best_of_n import adaptive, best_of_n
from optillm_cerebras_cepo.cepo.outcome import Answer, Outcome
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.cepo.workload import Workload, expected_costs, fit_to_resources, requested_workload
from optillm_cerebras_cepo.core.chat import Completion, Label, Listener, Message, Step
from optillm_cerebras_cepo.core.errors import ApiTimeout, CepoError, NoAnswer, OutOfTime
from optillm_cerebras_cepo.response_format import RequestedFormat
from optillm_cerebras_cepo.voting.algebra_process import equal_formulas

REPAIR_PROMPT = (
    "Your answer cannot be used: {problem}. Give the same answer again, as JSON alone, without that fault{schema}. "
    "Write nothing before or after it."
)


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
        is_over = caller.deadline.remaining <= 2 * caller.kept_for_choosing
        if isinstance(error, OutOfTime) or (is_over and isinstance(error, ApiTimeout | NoAnswer)):
            raise caller.deadline.whole.exceeded() from error
        raise
    if request.response_format:
        outcome = repair(caller, outcome, request.response_format)
    if function := request.question.function:
        outcome = replace(outcome, answers=tuple(answer.as_call(function.name) for answer in outcome.answers))
    return outcome


def _solve(caller: StepCaller, rater: StepCaller, listener: Listener | None) -> Outcome:
    settings, answers = caller.request.settings, caller.request.parameters.n
    if settings.effort == "none" or caller.request.question.passthrough is not None:
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
    """Make one call for each answer, side by side; leave out those that fail while another succeeds.

    A reply that is cut at the client's own limit is an answer too.
    """
    wanted = caller.request.parameters.n
    if wanted == 1:
        return Outcome((_answer(caller.converse(Label(Step.DIRECT), listener=listener)),))

    def one(number: int) -> Answer | CepoError:
        try:
            return _answer(caller.converse(Label(Step.DIRECT, number)))
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


def repair(caller: StepCaller, outcome: Outcome, wanted: RequestedFormat) -> Outcome:
    """Return the outcome with each answer in the format, as far as one further call each achieves that."""
    with ThreadPoolExecutor(len(outcome.answers)) as threads:
        answers = tuple(threads.map(lambda answer: _repaired(caller, answer, wanted), outcome.answers))
    return replace(outcome, answers=answers)


def _repaired(caller: StepCaller, answer: Answer, wanted: RequestedFormat) -> Answer:
    if answer.tool_calls:  # a tool call is not an answer yet
        return answer
    answer = replace(answer, text=wanted.extract(answer.text))
    problem = wanted.problem(answer.text)
    if problem is None:
        return answer
    given = caller.request.parameters.response_format or {}
    schema = (
        f", valid under this JSON schema: {json.dumps(given['json_schema']['schema'])}"
        if "json_schema" in given
        else ""
    )
    turns = [Message("assistant", answer.text), Message("user", REPAIR_PROMPT.format(problem=problem, schema=schema))]
    try:
        completion = caller.converse(Label(Step.REPAIR), turns)
        text = wanted.extract(completion.answer)
        still = wanted.problem(text)
        if still is None:
            return Answer(text, completion.finish_reason or "stop", completion.usage)
        problem = still
    except CepoError as error:
        if error.discards_answers:
            raise
        problem = f"{problem}; the second try failed: {error.message}"
    caller.tracker.degraded.add(f"response_format: the answer does not match: {problem}")
    return answer
