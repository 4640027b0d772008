"""Paths and methods in front of OptiLLM's routes: which are read, and what the others are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optillm.server as server
import pytest

from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_a_wrong_method_has_a_json_error(serve: Any, simulate: Simulate, method: str) -> None:
    """Flask's own answer is a page of HTML."""
    serve(simulate().url)
    response = getattr(server.app.test_client(), method)("/v1/chat/completions")
    assert (response.status_code, response.get_json()["error"]["type"]) == (405, "invalid_request_error")


def test_a_wrong_method_names_the_allowed_ones(serve: Any, simulate: Simulate) -> None:
    """As RFC 9110 demands."""
    serve(simulate().url)
    response = server.app.test_client().get("/v1/chat/completions")
    assert "POST" in response.headers["allow"]
    message = response.get_json()["error"]["message"]
    assert "GET" in message
    assert "POST" in message


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages", "/v1/embeddings", "/chat/completions"])
def test_an_unknown_path_names_what_there_is(serve: Any, simulate: Simulate, path: str) -> None:
    """Clients with a wrong base URL, or of another API."""
    serve(simulate().url)
    message = server.app.test_client().post(path).get_json()["error"]["message"]
    assert "/v1/chat/completions" in message
    assert "http://localhost/v1" in message


def test_a_doubled_version_is_read_as_one(serve: Any, simulate: Simulate) -> None:
    """The Cerebras SDK adds /v1 to a base URL that ends with it."""
    serve(simulate().url)
    body = {"model": "any", "messages": [{"role": "user", "content": "Why?"}], "cepo_cerebras_effort": "none"}
    for path in ("/v1/chat/completions", "/v1/v1/chat/completions"):
        assert server.app.test_client().post(path, json=body).status_code == 200
    assert server.app.test_client().post("/v1/v1/v1/chat/completions", json=body).status_code == 404


@pytest.mark.parametrize(("method", "path", "status"), [("post", "/v1/completions", 404), ("post", "/health", 405)])
def test_other_paths_have_json_errors(serve: Any, simulate: Simulate, method: str, path: str, status: int) -> None:
    """Where this approach is the server's default."""
    serve(simulate().url)
    response = getattr(server.app.test_client(), method)(path)
    assert (response.status_code, response.get_json()["error"]["code"]) == (status, "invalid_request")
