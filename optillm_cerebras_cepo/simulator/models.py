"""The models of the simulated API; independent of the package's catalogue, so that tests can compare them."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Tier = Literal["free", "paid"]

_K = 1024
_LOW_TO_HIGH = ("low", "medium", "high")


@dataclass(frozen=True)
class Window:
    """Token limits: `context` for input and output together, `output` for one answer."""

    context: int
    output: int


@dataclass(frozen=True)
class ServedModel:
    """One model of the API. `efforts` are the levels of reasoning_effort that it accepts; none: no reasoning model."""

    id: str
    owned_by: str
    free: Window
    paid: Window
    efforts: tuple[str, ...] = ()
    takes_prediction: bool = True
    takes_developer_role: bool = False

    @property
    def reasons(self) -> bool:
        """Whether the model accepts reasoning_effort."""
        return bool(self.efforts)

    def window(self, tier: Tier) -> Window:
        """Return the token limits of a tier."""
        return self.free if tier == "free" else self.paid

    def entry(self) -> dict[str, Any]:
        """Return its entry in `GET /v1/models`."""
        return {"id": self.id, "object": "model", "created": 0, "owned_by": self.owned_by}

    def public_entry(self, tier: Tier) -> dict[str, Any]:
        """Return its entry in `GET /public/v1/models`, with the documented fields."""
        window = self.window(tier)
        return {
            **self.entry(),
            "capabilities": {"reasoning": self.reasons, "streaming": True, "tools": True, "vision": False},
            "limits": {"max_context_length": window.context, "max_completion_tokens": window.output},
            "deprecated": False,
        }


# Contexts, outputs and levels: model pages of inference-docs.cerebras.ai, 2026; llama3.1-8b and qwen-3-235b from
# third parties. `prediction` is refused by qwen and gemma (documentation); the developer role is for OpenAI's models
# only (docstring in the SDK 1.91).
TABLE: tuple[ServedModel, ...] = (
    ServedModel("llama-3.3-70b", "Meta", Window(64 * _K, 64 * _K), Window(128 * _K, 64 * _K)),
    ServedModel("llama3.1-8b", "Meta", Window(8 * _K, 8 * _K), Window(32 * _K, 8 * _K)),
    ServedModel(
        "qwen-3-235b-a22b-instruct-2507",
        "Qwen",
        Window(64 * _K, 40 * _K),
        Window(128 * _K, 40 * _K),
        takes_prediction=False,
    ),
    ServedModel(
        "gpt-oss-120b",
        "OpenAI",
        Window(64 * _K, 32 * _K),
        Window(128 * _K, 40 * _K),
        efforts=_LOW_TO_HIGH,
        takes_developer_role=True,
    ),
    ServedModel(
        "qwen-3.8-27b",
        "Qwen",
        Window(64 * _K, 32 * _K),
        Window(128 * _K, 32 * _K),
        efforts=("none", *_LOW_TO_HIGH),
        takes_prediction=False,
    ),
    ServedModel(
        "gemma-4-31b",
        "Google",
        Window(64 * _K, 32 * _K),
        Window(128 * _K, 40 * _K),
        efforts=("none", *_LOW_TO_HIGH),
        takes_prediction=False,
    ),
)

DEFAULT_MODELS: tuple[str, ...] = tuple(model.id for model in TABLE if model.id != "gemma-4-31b")


def models_by_id(names: Iterable[str]) -> dict[str, ServedModel]:
    """Return the models with these names by the id under which they are served.

    `my-endpoint=llama-3.3-70b` serves a model of the table under another id, like a dedicated endpoint. Raise
    ValueError for unknown models.
    """
    table = {model.id: model for model in TABLE}
    found: dict[str, ServedModel] = {}
    for name in names:
        endpoint, _, base = name.rpartition("=")
        if base not in table:
            close = difflib.get_close_matches(base, table, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(table)}"
            raise ValueError(f"the simulator knows no model {base!r}{hint}")
        found[endpoint or base] = dataclasses.replace(table[base], id=endpoint or base)
    if not found:
        raise ValueError("the simulator must serve at least one model")
    return found
