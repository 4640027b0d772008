"""Prompts of one request begin alike, so that the API's cache of beginnings has most of their tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import KEY
from support.solving import solve

from optillm_cerebras_cepo.core.chat import Message, Question
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator import Rule, Simulator

LONG = "word " * 1600  # 2,000 of the simulator's tokens
REPLY = Rule(text="word " * 317 + "\nThe answer is 42. Rating: [[1]]")


QUESTIONS = {
    "short": Question("What is 6 times 7?"),
    "long question": Question(LONG, "Be exact."),
    "long conversation": Question(
        "What is 6 times 7?", "Be exact.", (Message("user", LONG), Message("assistant", "Yes."))
    ),
}


@pytest.mark.parametrize(
    ("question", "effort", "share"),
    [
        ("short", "medium", 0.6),
        ("long question", "medium", 0.8),
        ("long conversation", "medium", 0.85),
        ("short", "auto", 0.25),
        ("long question", "auto", 0.6),
        ("long conversation", "auto", 0.7),
    ],
)
def test_most_tokens_of_prompts_are_cached(
    simulate: Callable[..., Simulator], question: str, effort: Any, share: float
) -> None:
    """By blocks of 128 tokens, with a cache that has a prompt as soon as it was sent: no more is possible."""
    api = simulate(rules=(REPLY,))
    settings = Settings(effort=effort, rate_always=True)
    solve(RUNTIME, QUESTIONS[question], settings, RUNTIME.client(api.url, KEY))
    prompts, cached = (
        sum(getattr(call, name) for call in api.chat_calls) for name in ("prompt_tokens", "cached_tokens")
    )
    assert share <= cached / prompts <= share + 0.1
