"""The table of models: what each takes, what it refuses, and where that is written down.

A model that is not in the table is used as it is (a dedicated endpoint serves what its owner chose); what it refuses is
then learnt from its refusals (`fit.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from optillm_cerebras_cepo.errors import ModelUnavailable


@dataclass(frozen=True)
class Model:
    """One row.

    Attributes:
        id: the exact id that the API lists.
        context: tokens of prompt and reply together, paid tier; None where nobody says.
        max_output: tokens of one reply, paid tier; None where nobody says.
        efforts: the values of `reasoning_effort` that it takes; none: the field is refused.
        refuses: other fields that it refuses with 400.
        think_switch: whether " /think" at a prompt's end means something to it.
        source: where this is documented.

    """

    id: str
    context: int | None = None
    max_output: int | None = None
    efforts: tuple[str, ...] = ()
    refuses: frozenset[str] = frozenset()
    think_switch: bool = False
    source: str = "not in the table"


_REFERENCE = "inference-docs.cerebras.ai/api-reference/chat-completions"
_OVERVIEW = "inference-docs.cerebras.ai/models/overview"
_QWEN3 = "Qwen3 technical report (arXiv 2505.09388): /think and /no_think"

# OptiLLM's defect: reasoning_effort_goes_to_models_that_refuse_it
# `reasoning_effort` stands in the API's schema for every model, but only the reasoning models take it, and each its own
# values. The limits are those of the paid tier; the free tier's context is about half.
MODELS = (
    Model("llama-3.3-70b", 131_072, 65_536, source=f"{_REFERENCE}: reasoning_effort never listed for it"),
    Model("llama3.1-8b", 32_768, 8_192, source=f"{_REFERENCE}: reasoning_effort never listed for it"),
    Model(
        "qwen-3-235b-a22b-instruct-2507",
        131_072,
        40_960,
        refuses=frozenset({"prediction"}),
        source=f"{_REFERENCE}: an instruct model, without reasoning; prediction refused on qwen",
    ),
    Model(
        "qwen-3-32b",
        131_072,
        40_960,
        refuses=frozenset({"prediction"}),
        think_switch=True,
        source=f"{_REFERENCE}: prediction refused on qwen; {_QWEN3}",
    ),
    Model("gpt-oss-120b", 131_072, 40_000, ("low", "medium", "high"), source=f"{_OVERVIEW}: `none` answers 400"),
    Model(
        "qwen-3.8-27b",
        131_072,
        32_768,
        ("none", "low", "medium", "high"),
        frozenset({"prediction"}),
        source=f"{_OVERVIEW}; {_REFERENCE}: prediction refused on qwen",
    ),
    Model(
        "gemma-4-31b",
        131_072,
        40_000,
        ("none", "low", "medium", "high"),
        frozenset({"prediction"}),
        source=f"{_OVERVIEW} (dedicated endpoints); {_REFERENCE}: prediction refused on gemma",
    ),
)


def _key(name: str) -> str:
    """What is the same in every spelling of a model's name: `llama3.3-70b` and `llama-3.3-70b` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


_BY_KEY = {_key(model.id): model for model in MODELS}


def lookup(name: str) -> Model:
    """The row of a model under any spelling, or an empty row under the name as given."""
    return _BY_KEY.get(_key(name)) or Model(name)


def resolve(wanted: Sequence[str], served: Iterable[str]) -> str:
    """Return the API's own id of the first wanted model that it serves.

    Raises:
        ModelUnavailable: none is; the message names those that are, and the variable to set.

    """
    served = list(served)
    for name in wanted:
        if name in served:
            return name
        for candidate in served:
            if _key(candidate) == _key(name):
                return candidate
    raise ModelUnavailable(
        f"none of the wanted models ({', '.join(wanted)}) is served; the API serves: {', '.join(served) or 'none'}. "
        "Set CEPO_CEREBRAS_MODEL to one of these",
        param="model",
    )
