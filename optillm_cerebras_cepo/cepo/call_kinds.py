"""Kinds of call: calls of one model and step whose replies have similar lengths.

Reply lengths are learned by kind (`llm/adaptive_max_tokens.py`). A limit that was learned from the shorter replies of
another kind would cut a reply, and a cut reply costs a second call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from optillm_cerebras_cepo.core.chat import Step
from optillm_cerebras_cepo.settings.declaration import Settings

# Variants of a step's prompt.
LAST_RESORT = "last resort"  # a candidate's direct answer, when it has no plan
PASSTHROUGH = "passthrough"
UNPLANNED = "without a plan"

# Options that do not change the length of a reply.
NEUTRAL = frozenset({"top_p", "seed", "user"})


def variant_of(step: Step, settings: Settings) -> str:
    """Return which of the step's prompts these settings choose; empty for a step that has only one."""
    if step is Step.RATING:
        return settings.bestofn_rating_type
    return UNPLANNED if step is Step.EXECUTE and not settings.planning_max_tokens_step1 else ""


def kind_of(variant: str, max_tokens: int, options: Mapping[str, Any]) -> str:
    """Return the unique name of a call's kind. It contains no text of the client's.

    Args:
        variant: the variant of the step's prompt; see `variant_of`.
        max_tokens: the reply limit that the call asks for.
        options: the call's further fields: stop sequences, a response format, tools.

    """
    shaping = {name: value for name, value in options.items() if name not in NEUTRAL}
    digest = blake2b(json.dumps(shaping, sort_keys=True).encode(), digest_size=12).hexdigest() if shaping else ""
    return " ".join(filter(None, (variant, str(max_tokens), digest)))
