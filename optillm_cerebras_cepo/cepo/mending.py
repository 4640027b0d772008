"""Answers in the form that the client asked for: checked, and asked for once more when they are not in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.outcome import Answer, Outcome
from optillm_cerebras_cepo.chat import Completion, Label, Message, RawMessage, Step
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.form import Form

MEND = (
    "Your answer cannot be used: {problem}. Give the same answer again, as JSON alone, without that fault{schema}. "
    "Write nothing before or after it."
)


def in_form(asker: Asker, outcome: Outcome, form: Form) -> Outcome:
    """Return the outcome with each answer in this form, as far as one further call each can bring it there."""
    with ThreadPoolExecutor(len(outcome.answers)) as threads:
        answers = tuple(threads.map(lambda answer: _mended(asker, answer, form), outcome.answers))
    return replace(outcome, answers=answers)


def _mended(asker: Asker, answer: Answer, form: Form) -> Answer:
    if answer.tool_calls:  # a call of a tool is no answer yet
        return answer
    answer = replace(answer, text=form.extract(answer.text))
    problem = form.problem(answer.text)
    if problem is None:
        return answer
    wanted = asker.parameters.response_format or {}
    schema = (
        f", valid under this JSON schema: {json.dumps(wanted['json_schema']['schema'])}"
        if "json_schema" in wanted
        else ""
    )
    turns = [Message("assistant", answer.text), Message("user", MEND.format(problem=problem, schema=schema))]
    try:
        completion = _again(asker, turns)
        text = form.extract(completion.answer)
        still = form.problem(text)
        if still is None:
            return Answer(text, completion.finish_reason or "stop")
        problem = still
    except CepoError as error:
        if error.discards_answers:
            raise
        problem = f"{problem}; asking again failed: {error.message}"
    asker.degraded.add(f"response_format: the answer is not in the form asked for: {problem}")
    return answer


def _again(asker: Asker, turns: Sequence[Message]) -> Completion:
    """Go on with the conversation that the answer came from."""
    label, forwarded = Label(Step.REPAIR), asker.question.forward
    if forwarded is None:
        return asker.write(label, [Message("user", asker.question.text), *turns], {})
    messages = (*forwarded.messages, *(RawMessage(turn.wire()) for turn in turns))
    return asker.forward(label, replace(forwarded, messages=messages))
