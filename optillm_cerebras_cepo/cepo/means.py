"""What a request's calls are expected to take, and what is kept of its budget for an answer."""

from __future__ import annotations

from contextlib import AbstractContextManager

from optillm_cerebras_cepo.budget import Hold
from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.kinds import LAST_RESORT
from optillm_cerebras_cepo.cepo.workload import Costs, Workload
from optillm_cerebras_cepo.chat import Label, Step

# Bytes of OptiLLM's own words in a prompt, at most. `tests/cepo/test_means.py` holds them against OptiLLM.
WORDS = {
    Step.APPROACHES: 550,
    Step.PLAN: 400,
    Step.EXECUTE: 550,  # with those of the plan's prompt, which it repeats
    Step.REVIEW: 300,
    Step.FINAL: 200,
    Step.RATING: 1500,
}
HEADING = 16  # bytes of the heading over each solution in a review's prompt
ASKED_TWICE = (Step.PLAN, Step.EXECUTE)  # their prompts repeat the question


def costs(asker: Asker, rater: Asker) -> Costs:
    """Return what this request's calls are expected to take, as far as it can be known now.

    Args:
        asker: plans and answers.
        rater: rates.

    """
    approaches = max(asker.settings.bestofn_n, asker.parameters.n)

    def prompt(step: Step) -> float:
        return prompt_tokens(rater if step is Step.RATING else asker, step)

    def reply(step: Step) -> float:
        label = Label(step, kind=str(approaches) if step is Step.APPROACHES else "")
        return (rater if step is Step.RATING else asker).reply_tokens(label)

    last_resort = asker.reply_tokens(Label(Step.DIRECT, kind=LAST_RESORT))
    return Costs(prompt, reply, last_resort, asker.times.usual or 0.0)


def prompt_tokens(asker: Asker, step: Step) -> int:
    """Return the estimated tokens of a step's prompt: the conversation, the question, and OptiLLM's own words."""
    asked = asker.question
    words = WORDS.get(step, 0) + (HEADING * asker.settings.planning_n if step is Step.REVIEW else 0)
    conversation = [asked.system, *(turn.content for turn in asked.history)]
    question = [asked.text] * (2 if step in ASKED_TWICE else 1)
    return asker.estimate(asker.model, [*conversation, *question, " " * words])


def holding(asker: Asker, work: Workload) -> AbstractContextManager[Hold]:
    """Keep what the answer of one of this work's candidates needs."""
    return asker.budget.whole.holding(1, costs(asker, asker).answer(asker.settings, work))
