"""What a request's calls are expected to take, and what is kept of its budget for an answer."""

from __future__ import annotations

from contextlib import AbstractContextManager

from optillm_cerebras_cepo.budget import Hold
from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.kinds import LAST_RESORT
from optillm_cerebras_cepo.cepo.workload import Costs
from optillm_cerebras_cepo.chat import Label, Step

CHARACTERS = 3.5  # of a token, cautiously


def costs(asker: Asker, rater: Asker) -> Costs:
    """Return what this request's calls are expected to take, as far as it can be known now.

    Args:
        asker: plans and answers.
        rater: rates.

    """
    asked, approaches = asker.question, max(asker.settings.bestofn_n, asker.parameters.n)

    def reply(step: Step) -> float:
        label = Label(step, kind=str(approaches) if step is Step.APPROACHES else "")
        return (rater if step is Step.RATING else asker).reply_tokens(label)

    texts = (asked.system, *(turn.content for turn in asked.history), asked.text, asked.text)  # OptiLLM asks it twice
    last_resort = asker.reply_tokens(Label(Step.DIRECT, kind=LAST_RESORT))
    return Costs(sum(map(len, texts)) / CHARACTERS, reply, last_resort, asker.times.usual or 0.0)


def holding(asker: Asker) -> AbstractContextManager[Hold]:
    """Keep what one candidate's answer needs."""
    return asker.budget.whole.holding(1, costs(asker, asker).answer(asker.settings))
