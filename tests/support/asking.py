"""Asking the process's own runtime."""

from __future__ import annotations

from typing import Any

from conftest import KEY

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.events import Event
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings
from support.solving import solve


def ask(url: str, **settings: Any) -> RequestResult:
    """Solve one question through the process's client for this address."""
    events: list[Event] = []
    return solve(RUNTIME, Question("What is 6 times 7?"), Settings(**settings), RUNTIME.client(url, KEY), events.append)
