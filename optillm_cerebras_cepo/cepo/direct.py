"""Answers without a plan: one call each, and requests whose messages are passed through."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from optillm_cerebras_cepo.cepo.outcome import Answer, Outcome
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.core.chat import Completion, Label, Listener, Message, PassthroughRequest, Step
from optillm_cerebras_cepo.core.errors import CepoError, NoAnswer


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
