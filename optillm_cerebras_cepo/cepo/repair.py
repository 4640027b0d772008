"""Check answers against the requested response format, and request each once more if it does not match."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from optillm_cerebras_cepo.cepo.outcome import Answer, Outcome
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.core.chat import Completion, Label, Message, RawMessage, Step
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.response_format import RequestedFormat

PROMPT = (
    "Your answer cannot be used: {problem}. Give the same answer again, as JSON alone, without that fault{schema}. "
    "Write nothing before or after it."
)


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
    turns = [Message("assistant", answer.text), Message("user", PROMPT.format(problem=problem, schema=schema))]
    try:
        completion = _continued(caller, turns)
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


def _continued(caller: StepCaller, turns: Sequence[Message]) -> Completion:
    """Continue the conversation that the answer came from."""
    label, passthrough = Label(Step.REPAIR), caller.request.question.passthrough
    if passthrough is None:
        return caller.write(label, [Message("user", caller.request.question.text), *turns], {})
    messages = (*passthrough.messages, *(RawMessage(turn.wire()) for turn in turns))
    return caller.pass_through(label, replace(passthrough, messages=messages))
