"""Prices of models, and the operator's file of prices.

The file is a JSON object of models, each with dollars per million tokens: `{"llama-3.3-70b": {"prompt": 0.85,
"completion": 1.2}}`. It replaces the prices of the table of models (`llm/models.py`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

MILLION = 1_000_000
FORM = 'must be a file such as {"llama-3.3-70b": {"prompt": 0.85, "completion": 1.2}}, in dollars per million tokens'


@dataclass(frozen=True)
class Price:
    """US dollars per million tokens of prompts and of replies, reasoning included."""

    prompt: float
    completion: float

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the dollars for so many tokens."""
        return (self.prompt * prompt_tokens + self.completion * completion_tokens) / MILLION

    @property
    def dearest(self) -> float:
        """Dollars for the dearer kind of token."""
        return max(self.prompt, self.completion) / MILLION


def prices_in(path: str) -> Mapping[str, Price]:
    """Return the prices in a file, by model; it is read again when it changes.

    Raises:
        ValueError: there is no such file, or it has another form. The message does not quote it.

    """
    try:
        return _read(path, os.stat(path).st_mtime_ns)
    except OSError:
        raise ValueError("must be a file that can be read") from None


@lru_cache(maxsize=4)
def _read(path: str, _changed: int) -> Mapping[str, Price]:
    with open(path, encoding="utf-8") as file:
        try:
            listed = json.load(file)
        except ValueError:
            raise ValueError(FORM) from None
    if not isinstance(listed, dict):
        raise ValueError(FORM)
    return {model: _price(given) for model, given in listed.items()}


def _price(given: object) -> Price:
    if not isinstance(given, dict) or given.keys() != {"prompt", "completion"}:
        raise ValueError(FORM)
    if not all(type(value) in (int, float) and 0 <= value < MILLION for value in given.values()):
        raise ValueError(FORM)
    return Price(given["prompt"], given["completion"])
