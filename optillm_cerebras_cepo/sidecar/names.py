"""The list of models under the names that requests may use: the pinned one, its spellings, and approaches before it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from optillm_cerebras_cepo.llm.models import lookup


def names(served: str | None, wanted: Sequence[str], approaches: Collection[str]) -> list[str]:
    """All names, the API's own first.

    Args:
        served: the API's id of the pinned model, once it is known.
        wanted: the pinned model as the operator spells it, or several.
        approaches: what is served.

    """
    model = served or lookup(wanted[0]).id
    same = [name for name in wanted if lookup(name).id == lookup(model).id]
    plain = list(dict.fromkeys([model, lookup(model).id, *same]))
    return plain + [f"{approach}-{name}" for approach in approaches for name in plain]


def listed(name: str) -> dict[str, Any]:
    """One entry, as OpenAI's clients read it."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "cerebras"}
