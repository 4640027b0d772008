#!/usr/bin/env python3
"""
Tests for a request's parameters in CePO: they decide how the answer is written, and nothing else
"""

import os
import sys
import threading
from types import SimpleNamespace

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import optillm.server as server
from optillm.cepo.cepo import answer_parameters, init_cepo_config

GIVEN = {
    "temperature": 0.9,
    "top_p": 0.5,
    "max_tokens": 77,
    "stop": ["END"],
    "seed": 7,
    "response_format": {"type": "json_object"},
}


class MockClient:
    """Client that keeps what it is asked"""

    def __init__(self):
        self.calls = []
        self.lock = threading.Lock()
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))

    def create(self, **request):
        with self.lock:
            self.calls.append(request)
        choice = SimpleNamespace(message=SimpleNamespace(content="Rating: [[1]]"), finish_reason="stop")
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(prompt_tokens=7, completion_tokens=10))


@pytest.fixture
def ask(monkeypatch):
    """Ask the server with CePO, and return the calls that carry a seed, and those that do not"""

    def post(**body):
        client = MockClient()
        config = init_cepo_config({"cepo_config_file": server.get_config_path(), "cepo_use_reasoning": False})
        monkeypatch.setattr(server, "cepo_config", config, raising=False)
        monkeypatch.setattr(server, "get_config", lambda: (client, "key"))
        sent = {
            "model": "model",
            "optillm_approach": "cepo",
            "messages": [{"role": "user", "content": "What is 2 + 2?"}],
        } | body
        response = server.app.test_client().post("/v1/chat/completions", json=sent)
        assert response.status_code == 200
        return [call for call in client.calls if "seed" in call], [call for call in client.calls if "seed" not in call]

    return post


def test_answers_are_written_as_the_request_says(ask):
    answers, others = ask(**GIVEN)
    assert len(answers) == 3  # one of each candidate
    assert all(call | GIVEN == call for call in answers)
    assert all(call.get("stop") is None and call["max_tokens"] == 4096 for call in others)


def test_max_completion_tokens_is_a_limit_too(ask):
    answers, _ = ask(max_completion_tokens=55, seed=1)
    assert {call["max_tokens"] for call in answers} == {55}


def test_without_parameters_nothing_changes(ask):
    answers, others = ask()
    assert answers == []
    assert {call["max_tokens"] for call in others} == {4096}


@pytest.mark.parametrize(
    "given, kept",
    [
        (None, {}),
        ({"temperature": 0, "seed": None, "tools": []}, {"temperature": 0}),
        ({"stream": True, "n": 2, "optillm_approach": "cepo"}, {}),
    ],
)
def test_answer_parameters(given, kept):
    assert answer_parameters(given) == kept


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
