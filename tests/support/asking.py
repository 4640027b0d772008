"""Asking the process's own runtime."""

from __future__ import annotations

from typing import Any

from conftest import KEY

from optillm_cerebras_cepo.core.chat import Question
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings
from support.solving import solve


def ask(url: str, *, until: Deadline | None = None, **settings: Any) -> RequestResult:
    """Solve one question through the process's client for this address, until its deadline or another one."""
    client = RUNTIME.client(url, KEY)
    return solve(RUNTIME, Question("What is 6 times 7?"), Settings(**settings), client, deadline=until)
