"""Our client of the SDK, as its tests use it: connected to an API, with a request that they change as they need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conftest import KEY

from optillm_cerebras_cepo.core.chat import ChatRequest, Label, Message, Step
from optillm_cerebras_cepo.llm.event_loop import EventLoop
from optillm_cerebras_cepo.llm.sdk import SdkClient
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

LOOP = EventLoop()
CLIENTS: list[SdkClient] = []  # that a test connected
Simulate = Callable[..., Simulator]


def connect(url: str, key: str = KEY) -> SdkClient:
    """A client of this API."""
    CLIENTS.append(SdkClient(url, key, LOOP))
    return CLIENTS[-1]


def request(**changes: Any) -> ChatRequest:
    """A request with these changes."""
    fields: dict[str, Any] = {
        "model": "llama-3.3-70b",
        "messages": (Message("system", "be brief"), Message("user", "the-prompt-itself")),
        "max_tokens": 50,
        "label": Label(Step.PLAN),
        "temperature": 0.5,
        "timeout": 5.0,
    }
    return ChatRequest(**(fields | changes))


def answering(simulate: Simulate, status: int, body: Any = None, **headers: str) -> SdkClient:
    """A client of an API that answers every call like this."""
    text = body if body is not None else {"message": f"the-prompt-itself {KEY}", "type": "t", "param": "p", "code": "c"}
    return connect(simulate(rules=(Rule(reply=Reply(status, text, headers)),)).url)
