#!/usr/bin/env python3
"""
Tests for the providers' clients: which requests share one
"""

import os
import sys
import threading
from types import SimpleNamespace

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import optillm.server as server

KEYS = ("OPTILLM_API_KEY", "CEREBRAS_API_KEY", "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")


@pytest.fixture(autouse=True)
def made(monkeypatch):
    """Classes of clients that make no connection; what they were made with, in order"""
    settings = []

    def mock_class(name):
        def init(self, **given):
            settings.append(given)
            completions = SimpleNamespace(create=lambda **_: {"choices": [], "usage": {}})
            self.chat = SimpleNamespace(completions=completions)

        return type(name, (), {"__init__": init})

    for name in ("Cerebras", "OpenAI", "AzureOpenAI"):
        monkeypatch.setattr(server, name, mock_class(name))
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr(server, "clients", {})
    monkeypatch.setitem(server.server_config, "base_url", "")
    return settings


@pytest.mark.parametrize("key, kind", [("CEREBRAS_API_KEY", "Cerebras"), ("OPENAI_API_KEY", "OpenAI")])
@pytest.mark.parametrize("base_url", ["", "https://provider.example"])
def test_one_client_for_all_requests(made, monkeypatch, key, kind, base_url):
    monkeypatch.setenv(key, "one")
    monkeypatch.setitem(server.server_config, "base_url", base_url)
    (client, name), (again, _) = server.get_config(), server.get_config()
    assert client is again
    assert (type(client).__name__, name) == (kind, "one")
    assert len(made) == 1
    assert made[0]["api_key"] == "one"
    assert made[0].get("base_url", "") == base_url


def test_one_azure_client(made, monkeypatch):
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "one")
    monkeypatch.setenv("AZURE_API_VERSION", "2024-02-15-preview")
    monkeypatch.setenv("AZURE_API_BASE", "https://azure.example")
    assert server.get_config()[0] is server.get_config()[0]
    assert made[0]["azure_endpoint"] == "https://azure.example"


@pytest.mark.parametrize(
    "setting, value", [("base_url", "https://other.example"), ("ssl_verify", False), ("ssl_cert_path", "ca.pem")]
)
def test_another_setting_is_another_client(monkeypatch, setting, value):
    monkeypatch.setattr("httpx.Client", lambda **given: given)
    monkeypatch.setenv("CEREBRAS_API_KEY", "one")
    first, _ = server.get_config()
    with monkeypatch.context() as changed:
        changed.setitem(server.server_config, setting, value)
        assert server.get_config()[0] is not first
    assert server.get_config()[0] is first


def test_another_key_is_another_client(monkeypatch):
    monkeypatch.setenv("CEREBRAS_API_KEY", "one")
    first, _ = server.get_config()
    monkeypatch.setenv("CEREBRAS_API_KEY", "two")
    second, key = server.get_config()
    assert second is not first
    assert key == "two"


def test_http_client_has_room_for_all_threads(made, monkeypatch):
    monkeypatch.setattr("httpx.Client", lambda verify, limits: SimpleNamespace(verify=verify, limits=limits))
    monkeypatch.setenv("CEREBRAS_API_KEY", "one")
    server.get_config()
    http_client = made[0]["http_client"]
    assert http_client.verify is True
    assert http_client.limits.max_connections is None


def ask(token=""):
    """Ask the server, with no approach"""
    body = {"model": "m", "optillm_approach": "none", "messages": [{"role": "user", "content": "?"}]}
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    response = server.app.test_client().post("/v1/chat/completions", json=body, headers=headers)
    assert response.status_code == 200, response.get_json()


def test_requests_with_keys_of_their_own(made, monkeypatch):
    monkeypatch.setenv("CEREBRAS_API_KEY", "one")
    for token in ("", "sk-a", "sk-b", "sk-a", "", "sk-b"):
        ask(token)
    assert [settings["api_key"] for settings in made] == ["one", "sk-a", "sk-b"]


def test_clients_are_not_kept_without_end(made, monkeypatch):
    monkeypatch.setattr(server, "MAX_CLIENTS", 2)
    monkeypatch.setenv("CEREBRAS_API_KEY", "one")
    for token in ("sk-a", "sk-b", "sk-c"):
        ask(token)
        assert len(server.clients) <= 2
    # The server's own was used in every request, so it was never the oldest
    assert [settings["api_key"] for settings in made] == ["one", "sk-a", "sk-b", "sk-c"]


def test_requests_that_come_together(made, monkeypatch):
    monkeypatch.setenv("CEREBRAS_API_KEY", "one")
    together, found = threading.Barrier(8), []

    def get():
        together.wait()
        found.append(server.get_config()[0])

    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(found) == 8
    assert len(set(map(id, found))) == 1


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
