"""What a request's calls are expected to take, and what is kept of its budget for an answer."""

from __future__ import annotations

from contextlib import AbstractContextManager

from optillm_cerebras_cepo.budget import Hold
from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.workload import Costs

CHARACTERS = 3.5  # of a token, cautiously


def costs(asker: Asker) -> Costs:
    """What this request's calls are expected to take, as far as it can be known now."""
    asked = asker.question
    texts = (asked.system, *(turn.content for turn in asked.history), asked.text, asked.text)  # OptiLLM asks it twice
    return Costs(sum(map(len, texts)) / CHARACTERS, asker.reply_tokens, asker.times.usual or 0.0)


def holding(asker: Asker) -> AbstractContextManager[Hold]:
    """Keep what one candidate's answer needs."""
    return asker.budget.whole.holding(1, costs(asker).answer(asker.settings))
