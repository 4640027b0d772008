"""What the tests of OptiLLM's defects ask: its `cepo` by itself, and its whole application, both on a simulated API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optillm.server as server
import pytest
import yaml
from cerebras.cloud.sdk import Cerebras
from conftest import KEY
from optillm.cepo.cepo import CepoConfig, cepo
from werkzeug.test import TestResponse

from optillm_cerebras_cepo.simulator.server import Simulator

# A model that takes no reasoning_effort, as the simulated API has it.
MODEL = "llama-3.3-70b"
SMALL = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1, "use_reasoning": False}

Simulate = Callable[..., Simulator]
Cepo = Callable[..., tuple[str, int]]
Ask = Callable[..., TestResponse]
AskCepo = Callable[..., Ask]


def configured(**changes: Any) -> CepoConfig:
    """Return OptiLLM's packaged configuration, with one candidate of one plan, without reasoning, and these changes."""
    with open(server.get_config_path(), encoding="utf-8") as file:
        return CepoConfig(**yaml.safe_load(file) | SMALL | changes)


def sdk(api: Simulator) -> Cerebras:
    """Return the real SDK on an API, without its own retries."""
    return Cerebras(api_key=KEY, base_url=api.url, max_retries=0, warm_tcp_connection=False)


@pytest.fixture
def run_cepo() -> Cepo:
    """Run OptiLLM's `cepo` on an API: `run_cepo(api, bestofn_n=2)`."""

    def run(api: Simulator, question: str = "What is 6 times 7?", **changes: Any) -> tuple[str, int]:
        answer: tuple[str, int] = cepo("Be brief.", question, sdk(api), MODEL, configured(**changes))
        return answer

    return run


@pytest.fixture
def ask_cepo(plugins: None, monkeypatch: pytest.MonkeyPatch) -> AskCepo:
    """Point OptiLLM's application at an API, with `cepo` as its approach; what it returns posts a body to it."""
    monkeypatch.setenv("CEREBRAS_API_KEY", KEY)
    monkeypatch.setitem(server.server_config, "approach", "cepo")

    def pointed(api: Simulator, **changes: Any) -> Ask:
        monkeypatch.setattr(server, "cepo_config", configured(**changes), raising=False)
        monkeypatch.setitem(server.server_config, "base_url", api.url)

        def post(**body: Any) -> TestResponse:
            sent = {"model": MODEL, "messages": [{"role": "user", "content": "Why?"}]} | body
            response: TestResponse = server.app.test_client().post("/v1/chat/completions", json=sent)
            return response

        return post

    return pointed
