"""Expected tokens and seconds of a request's calls, and the reservation for an answer."""

from __future__ import annotations

from contextlib import AbstractContextManager

from optillm_cerebras_cepo.cepo.call_kinds import LAST_RESORT
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.cepo.workload import StepCosts, Workload
from optillm_cerebras_cepo.core.budget import Reservation
from optillm_cerebras_cepo.core.chat import Label, Step

# Bytes of OptiLLM's own text in a prompt, at most. `tests/cepo/test_expected_costs.py` compares them with OptiLLM.
PROMPT_BYTES = {
    Step.APPROACHES: 550,
    Step.PLAN: 400,
    Step.EXECUTE: 550,  # with those of the plan's prompt, which it repeats
    Step.REVIEW: 300,
    Step.FINAL: 200,
    Step.RATING: 1500,
}
HEADING_BYTES = 16  # of the heading over each solution in a review's prompt
REPEATS_QUESTION = (Step.PLAN, Step.EXECUTE)


def expected_costs(caller: StepCaller, rater: StepCaller) -> StepCosts:
    """Return the expected tokens and seconds of this request's calls, from what is known now.

    Args:
        caller: calls the model that plans and answers.
        rater: calls the model that rates.

    """
    approaches = max(caller.request.settings.bestofn_n, caller.request.parameters.n)

    def prompt(step: Step) -> float:
        return expected_prompt_tokens(rater if step is Step.RATING else caller, step)

    def reply(step: Step) -> float:
        label = Label(step, kind=str(approaches) if step is Step.APPROACHES else "")
        return (rater if step is Step.RATING else caller).expected_reply_tokens(label)

    last_resort = caller.expected_reply_tokens(Label(Step.DIRECT, kind=LAST_RESORT))
    return StepCosts(prompt, reply, last_resort, caller.tracker.call_times.usual or 0.0)


def expected_prompt_tokens(caller: StepCaller, step: Step) -> int:
    """Return the estimated tokens of a step's prompt: the conversation, the question, and OptiLLM's own text."""
    question, settings = caller.request.question, caller.request.settings
    text = PROMPT_BYTES.get(step, 0) + (HEADING_BYTES * settings.planning_n if step is Step.REVIEW else 0)
    conversation = [question.system, *(turn.content for turn in question.history)]
    repeated = [question.text] * (2 if step in REPEATS_QUESTION else 1)
    return caller.model.count_tokens([*conversation, *repeated, " " * text])


def reserve_answer(caller: StepCaller, work: Workload) -> AbstractContextManager[Reservation]:
    """Reserve one call and its tokens for the answer of one candidate."""
    tokens = expected_costs(caller, caller).answer(caller.request.settings, work)
    return caller.budget.whole.reserve(1, tokens)
