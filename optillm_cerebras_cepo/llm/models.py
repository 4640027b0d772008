"""Table of models: what each accepts and refuses, with the source.

A model that is not in the table can be used as well: a dedicated endpoint serves what its owner chose. What it refuses
is learned from its refusals (`unsupported_params.py`).
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from optillm_cerebras_cepo.core.errors import ModelUnavailable
from optillm_cerebras_cepo.core.prices import Price


@dataclass(frozen=True)
class Model:
    """One row of the table.

    Attributes:
        id: the id in the API's list.
        context: tokens of prompt and reply together, paid tier; None if unknown.
        max_output: tokens of one reply, paid tier; None if unknown.
        efforts: accepted values of `reasoning_effort`; if empty, the field is refused.
        refuses: other fields that are refused with 400.
        think_switch: whether " /think" at the end of a prompt turns reasoning on.
        price: of the pay-as-you-go tier; None if unknown.
        source: the documentation.

    """

    id: str
    context: int | None = None
    max_output: int | None = None
    efforts: tuple[str, ...] = ()
    refuses: frozenset[str] = frozenset()
    think_switch: bool = False
    price: Price | None = None
    source: str = "not in the table"


_REFERENCE = "inference-docs.cerebras.ai/api-reference/chat-completions"
_OVERVIEW = "inference-docs.cerebras.ai/models/overview"
_QWEN3 = "Qwen3 technical report (arXiv 2505.09388): /think and /no_think"

# OptiLLM's defect: reasoning_effort_goes_to_models_that_refuse_it
# The API's schema has `reasoning_effort` for every model, but only the reasoning models accept it, each with its own
# values. Limits are those of the paid tier; the free tier's context is about half. Prices are those of LiteLLM's table
# (model_prices_and_context_window.json) in November 2026, in which retired models have their last price; that of
# qwen-3-235b's replies is not verified. What the API charges for cached tokens is not known.
MODELS = (
    Model(
        "llama-3.3-70b",
        131_072,
        65_536,
        price=Price(0.85, 1.20),
        source=f"{_REFERENCE}: reasoning_effort never listed for it",
    ),
    Model(
        "llama3.1-8b",
        32_768,
        8_192,
        price=Price(0.10, 0.10),
        source=f"{_REFERENCE}: reasoning_effort never listed for it",
    ),
    Model(
        "qwen-3-235b-a22b-instruct-2507",
        131_072,
        40_960,
        refuses=frozenset({"prediction"}),
        price=Price(0.60, 1.20),
        source=f"{_REFERENCE}: an instruct model, without reasoning; prediction refused on qwen",
    ),
    Model(
        "qwen-3-32b",
        131_072,
        40_960,
        refuses=frozenset({"prediction"}),
        think_switch=True,
        price=Price(0.40, 0.80),
        source=f"{_REFERENCE}: prediction refused on qwen; {_QWEN3}",
    ),
    Model(
        "gpt-oss-120b",
        131_072,
        40_000,
        ("low", "medium", "high"),
        price=Price(0.35, 0.75),
        source=f"{_OVERVIEW}: `none` answers 400",
    ),
    Model(
        "qwen-3.8-27b",
        131_072,
        32_768,
        ("none", "low", "medium", "high"),
        frozenset({"prediction"}),
        price=Price(0.99, 1.49),
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


@lru_cache(maxsize=1024)  # needed several times for each call
def _key(name: str) -> str:
    """Return what all spellings of a name have in common: `llama3.3-70b` and `llama-3.3-70b` are the same model."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


_SIZE = re.compile(r"(?<![a-z0-9.])([1-9][0-9]*)b(?![a-z0-9])")  # billions of parameters
_BY_KEY = {_key(model.id): model for model in MODELS}


def lookup(name: str) -> Model:
    """Return the row of a model, however it is spelled; for an unknown model, an empty row with the given name."""
    return _BY_KEY.get(_key(name)) or Model(name)


def price_of(name: str, own: Mapping[str, Price]) -> Price | None:
    """Return the price of a model, the operator's own before that of the table; None if it is unknown."""
    return next((price for model, price in own.items() if _key(model) == _key(name)), lookup(name).price)


def family(name: str) -> str:
    """Return the family of a model by the letters that its name begins with: `qwen` for `qwen-3.8-27b`."""
    letters = re.match(r"[a-z]*", name.lower().rpartition("/")[2])
    return letters[0] if letters else ""


def of_another_family(name: str, served: Sequence[str]) -> str | None:
    """Return the first served model of another family; None if there is none."""
    return next((other for other in served if family(other) != family(name)), None)


def resolve(wanted: Sequence[str], served: Sequence[str]) -> str:
    """Return the API's own id of the first wanted model that it serves.

    Raises:
        ModelUnavailable: it serves none of them. The message names the served models and the variable to set.

    """
    for name in wanted:
        if name in served:
            return name
        for candidate in served:
            if _key(candidate) == _key(name):
                return candidate
    raise ModelUnavailable(_not_served(wanted, served), param="model")


def _not_served(wanted: Sequence[str], served: Sequence[str]) -> str:
    if not served:
        return "The API lists no model for this key. Check that CEREBRAS_API_KEY belongs to the account that you mean."
    keys = {_key(name): name for name in served}
    close = [keys[key] for name in wanted for key in difflib.get_close_matches(_key(name), keys, n=1, cutoff=0.6)]
    missing = " or ".join(wanted) + (f"; did you mean {close[0]}?" if close else ".")
    nearest = _nearest(wanted[0], served)
    return (
        f"The API does not serve {missing} It serves: {', '.join(served)}. Set CEPO_CEREBRAS_MODEL={nearest}, the"
        " nearest in kind, or another one of these."
    )


def _nearest(name: str, served: Sequence[str]) -> str:
    """Return the served model that is most like this one: by family, then reasoning or not, then size."""

    def distance(other: str) -> tuple[bool, bool, float]:
        sizes = [float(size[1]) if (size := _SIZE.search(one.lower())) else 0.0 for one in (name, other)]
        apart = abs(math.log(sizes[0] / sizes[1])) if all(sizes) else math.inf
        return family(other) != family(name), bool(lookup(other).efforts) != bool(lookup(name).efforts), apart

    return min(served, key=distance)
