#!/usr/bin/env python3
"""
Tests for the reply of approaches: id, object, created, usage, and answers that mention a speaker
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import optillm.server as server
from optillm.usage import UsageCounter


class MockClient:
    """Client whose every completion costs 7 + 10 tokens"""

    base_url = "https://provider.example"

    def __init__(self, content="4"):
        self.content = content
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create, parse=lambda: "parsed"))

    def create(self, **request):
        choice = SimpleNamespace(message=SimpleNamespace(content=self.content), finish_reason="stop")
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(prompt_tokens=7, completion_tokens=10))


def ask_twice(system_prompt, initial_query, client, model):
    replies = [client.chat.completions.create(model=model, messages=[]) for _ in range(2)]
    return replies[-1].choices[0].message.content, sum(reply.usage.completion_tokens for reply in replies)


@pytest.fixture
def post(monkeypatch):
    """Ask the server, with an approach that makes two calls"""
    monkeypatch.setitem(server.plugin_approaches, "ask_twice", ask_twice)

    def ask(client):
        monkeypatch.setattr(server, "get_config", lambda: (client, "key"))
        body = {
            "model": "model",
            "optillm_approach": "ask_twice",
            "messages": [{"role": "user", "content": "What is 2 + 2?"}],
        }
        return server.app.test_client().post("/v1/chat/completions", json=body).get_json()

    return ask


def test_reply_is_a_chat_completion(post):
    reply = post(MockClient())
    assert reply["object"] == "chat.completion"
    assert reply["id"].startswith("chatcmpl-")
    assert isinstance(reply["created"], int)
    assert reply["choices"][0]["message"]["content"] == "4"


def test_ids_differ(post):
    assert post(MockClient())["id"] != post(MockClient())["id"]


def test_usage_is_whole(post):
    usage = post(MockClient())["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (14, 20, 34)


def test_counted_client_is_like_the_one_it_counts():
    client = MockClient()
    counted = UsageCounter().counted(client)
    assert type(counted) is MockClient
    assert counted.base_url == client.base_url
    assert counted.chat.completions.parse() == "parsed"
    assert client.chat.completions is not counted.chat.completions


def test_calls_of_all_threads_are_counted():
    usage = UsageCounter()
    client = usage.counted(MockClient())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.chat.completions.create(), range(100)))
    assert (usage.prompt_tokens, usage.completion_tokens) == (700, 1000)


@pytest.mark.parametrize("response", [{}, {"usage": None}, SimpleNamespace(), iter(())])
def test_response_without_usage_costs_nothing(response):
    usage = UsageCounter()
    usage.add(response)
    assert (usage.prompt_tokens, usage.completion_tokens) == (0, 0)


def test_answer_that_mentions_a_speaker_stays_whole(post):
    answer = "Write it as\nUser: Hello\nAssistant: Hi\nand so on."
    assert post(MockClient(answer))["choices"][0]["message"]["content"] == answer


def test_answer_that_is_a_conversation_is_its_last_turn(post):
    answer = "User: What is 2 + 2?\nAssistant: It is 4."
    assert post(MockClient(answer))["choices"][0]["message"]["content"] == "It is 4."


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
