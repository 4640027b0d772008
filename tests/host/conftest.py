"""OptiLLM's real app in this process, with our plugin loaded by OptiLLM's own loader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optillm.server as server
import pytest
from conftest import KEY
from werkzeug.test import TestResponse

from optillm_cerebras_cepo.simulator.server import Simulator

Ask = Callable[..., TestResponse]


@pytest.fixture
def api(simulate: Callable[..., Simulator]) -> Simulator:
    """A simulated API for the server to use; a test that scripts answers starts its own."""
    return simulate()


@pytest.fixture
def serve(plugins: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Ask]:
    """Point OptiLLM's app at an API, with ours as its approach; returns what posts a body to it."""

    def start(base_url: str, approach: str = "cepo_cerebras") -> Ask:
        monkeypatch.setenv("CEREBRAS_API_KEY", KEY)
        monkeypatch.setitem(server.server_config, "base_url", base_url)
        monkeypatch.setitem(server.server_config, "approach", approach)
        client = server.app.test_client()

        def ask(question: str | None = "What is 6 times 7?", headers: dict[str, str] | None = None, **body: Any) -> Any:
            messages = {"messages": [{"role": "user", "content": question}]} if question else {}
            sent = {"model": "any"} | messages | body
            return client.post("/v1/chat/completions", json=sent, headers=headers)

        return ask

    return start


@pytest.fixture
def ask(serve: Callable[[str], Ask], api: Simulator) -> Ask:
    """Post a body to OptiLLM's app before the plain simulated API."""
    return serve(api.url)
