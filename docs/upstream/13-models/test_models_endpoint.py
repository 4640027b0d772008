#!/usr/bin/env python3
"""
Tests for /v1/models: which client lists the models, for each kind of provider
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import optillm.server as server


class MockProvider(BaseHTTPRequestHandler):
    """A provider that has its list at /v1/models, and nothing else"""

    def do_GET(self):
        self.server.paths.append(self.path)
        found = self.path == "/v1/models"
        model = {"id": "model-1", "object": "model", "created": 1, "owned_by": "provider"}
        body = json.dumps({"object": "list", "data": [model]} if found else {"message": "not found"}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def provider():
    """A provider on a port of its own"""
    with ThreadingHTTPServer(("127.0.0.1", 0), MockProvider) as running:
        running.daemon_threads = True
        running.paths = []
        running.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def models(monkeypatch):
    """Ask /v1/models of a server with this key and base URL"""
    for name in ("OPTILLM_API_KEY", "CEREBRAS_API_KEY", "CEREBRAS_BASE_URL", "OPENAI_API_KEY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def ask(key, base_url):
        monkeypatch.setenv(key, "test-key")
        monkeypatch.setitem(server.server_config, "approach", "none")
        monkeypatch.setitem(server.server_config, "base_url", base_url)
        return server.app.test_client().get("/v1/models")

    return ask


def ids(response):
    """The names in a list of models"""
    assert response.status_code == 200, response.get_json()
    body = response.get_json()
    assert body["object"] == "list"
    return [model["id"] for model in body["data"]]


def test_cerebras_adds_the_version_to_its_base_url(provider, models):
    assert ids(models("CEREBRAS_API_KEY", provider.url)) == ["model-1"]


def test_cerebras_without_a_base_url(provider, models, monkeypatch):
    monkeypatch.setenv("CEREBRAS_BASE_URL", provider.url)
    assert ids(models("CEREBRAS_API_KEY", "")) == ["model-1"]


def test_openai_has_the_version_in_its_base_url(provider, models):
    assert ids(models("OPENAI_API_KEY", f"{provider.url}/v1")) == ["model-1"]
    assert provider.paths == ["/v1/models"]


def test_openai_without_a_base_url_names_the_servers_model(models):
    assert ids(models("OPENAI_API_KEY", "")) == [server.server_config["model"]]


@pytest.mark.parametrize("base_url, names", [("", ["gpt-4o-mini"]), ("/v1", ["model-1"])])
def test_local_inference(provider, models, monkeypatch, base_url, names):
    local = object()
    monkeypatch.setattr(server, "get_config", lambda: (local, "optillm"))
    monkeypatch.setitem(server.server_config, "model", "gpt-4o-mini")
    assert ids(models("OPTILLM_API_KEY", base_url and provider.url + base_url)) == names


def test_provider_that_fails(provider, models):
    response = models("CEREBRAS_API_KEY", f"{provider.url}/elsewhere")
    assert response.status_code == 500
    assert "Error fetching models" in response.get_json()["error"]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
