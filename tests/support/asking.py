"""Asking the process's own runtime."""

from __future__ import annotations

from typing import Any

from conftest import KEY

from optillm_cerebras_cepo.chat import Question
from optillm_cerebras_cepo.events import Event
from optillm_cerebras_cepo.runtime import RUNTIME, Solved
from optillm_cerebras_cepo.settings import Settings


def ask(url: str, **settings: Any) -> Solved:
    """Solve one question through the process's client for this address."""
    events: list[Event] = []
    return RUNTIME.solve(Question("What is 6 times 7?"), Settings(**settings), RUNTIME.client(url, KEY), events.append)
