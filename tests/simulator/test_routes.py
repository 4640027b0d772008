from __future__ import annotations

import pytest
from cerebras.cloud.sdk import AuthenticationError, NotFoundError, PermissionDeniedError
from support import web

from optillm_cerebras_cepo.simulator import DEFAULT_MODELS
from simulator.conftest import Client, Start

from .conftest import sdk


def test_models_are_listed_to_a_key(shared: Client) -> None:
    """The list has only ids, in the API's format, and the SDK reads it."""
    assert shared.http.get("/v1/models").json() == {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": 0, "owned_by": owner}
            for name, owner in zip(DEFAULT_MODELS, ("Meta", "Meta", "Qwen", "OpenAI", "Qwen"), strict=True)
        ],
    }
    assert [model.id for model in shared.sdk.models.list().data] == list(DEFAULT_MODELS)


def test_models_are_not_listed_without_a_key(shared: Client) -> None:
    """GET /v1/models needs the key."""
    assert web.get(f"{shared.simulator.url}/v1/models").status_code == 403


def test_public_models_need_no_key(shared: Client) -> None:
    """The public list has capabilities, limits and deprecation."""
    found = web.get(f"{shared.simulator.url}/public/v1/models").json()["data"]
    by_id = {model["id"]: model for model in found}
    assert by_id["gpt-oss-120b"]["capabilities"]["reasoning"] is True
    assert by_id["llama-3.3-70b"]["capabilities"]["reasoning"] is False
    assert by_id["llama-3.3-70b"]["limits"] == {"max_context_length": 131_072, "max_completion_tokens": 65_536}
    assert by_id["llama-3.3-70b"]["deprecated"] is False


def test_free_tier_has_smaller_contexts(started: Start) -> None:
    """The limits in the list depend on the tier."""
    found = started(tier="free").http.get("/public/v1/models").json()["data"]
    assert {model["id"]: model["limits"]["max_context_length"] for model in found}["llama3.1-8b"] == 8_192


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/v1/chat/completions"), ("POST", "/v1/completions"), ("POST", "/v1/v1/chat/completions")],
)
def test_everything_else_is_not_found(shared: Client, method: str, path: str) -> None:
    """Unknown paths and methods get 404; a base URL with /v1 leads to /v1/v1."""
    answer = shared.http.request(method, path, json={})
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
    assert "error" not in answer.json()


def test_base_url_with_v1_fails_in_the_sdk(shared: Client) -> None:
    """The SDK adds /v1 itself, as with the real API."""
    wrong = sdk(shared.simulator, base_url=f"{shared.simulator.url}/v1")
    with wrong, pytest.raises(NotFoundError):
        wrong.models.list()


def test_warm_up_is_counted_separately(started: Start) -> None:
    """The SDK's warm-up request is answered and is not among the calls."""
    client = started()
    with sdk(client.simulator, warm_tcp_connection=True):
        pass
    assert client.simulator.warmings == 1
    assert client.simulator.calls == ()


def test_missing_key_is_403(shared: Client) -> None:
    """The recorded body has only a detail, and the SDK raises PermissionDeniedError."""
    answer = web.post(f"{shared.simulator.url}/v1/chat/completions", json={})
    assert (answer.status_code, answer.json()) == (403, {"detail": "Not authenticated"})
    with pytest.raises(PermissionDeniedError):
        shared.sdk.with_options(default_headers={"Authorization": ""}).models.list()


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "csk-test"])
def test_other_authorization_headers_are_no_key(shared: Client, header: str) -> None:
    """Only `Bearer <key>` is a key."""
    answer = web.get(f"{shared.simulator.url}/v1/models", headers={"Authorization": header})
    assert answer.status_code == 403


@pytest.mark.parametrize("key", ["wrong", "csk-", "sk-123"])
def test_wrong_key_is_401(shared: Client, key: str) -> None:
    """The recorded body; by default a key must start with csk- and be longer."""
    client = sdk(shared.simulator, key)
    with client, pytest.raises(AuthenticationError) as caught:
        client.chat.completions.create(model="llama-3.3-70b", messages=[{"role": "user", "content": "x"}])
    assert caught.value.body == {
        "message": "Wrong API Key",
        "type": "invalid_request_error",
        "param": "api_key",
        "code": "wrong_api_key",
    }


def test_given_keys_are_the_only_ones(started: Start) -> None:
    """If keys are configured, the prefix is not sufficient."""
    client = started(keys=("secret",))
    assert client.http.get("/v1/models").status_code == 401
    assert client.http.get("/v1/models", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_unknown_model_is_404(shared: Client) -> None:
    """The recorded body, for a common misspelling."""
    with pytest.raises(NotFoundError) as caught:
        shared.create(model="llama3.3-70b")
    assert caught.value.body == {
        "message": "Model llama3.3-70b does not exist or you do not have access to it.",
        "type": "not_found_error",
        "param": "model",
        "code": "model_not_found",
    }


def test_served_models_are_an_option(started: Start) -> None:
    """A dedicated endpoint serves a model under its own id only."""
    client = started(models=("my-endpoint=llama-3.3-70b",))
    assert client.create(model="my-endpoint").model == "my-endpoint"
    assert client.post(model="llama-3.3-70b").status_code == 404
    assert [model.id for model in client.sdk.models.list().data] == ["my-endpoint"]


def test_large_bodies_are_413(shared: Client) -> None:
    """A body above the size limit gets 413; a smaller one that exceeds the context gets 400."""
    answer = shared.http.post("/v1/chat/completions", content=b" " * (16 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")
    assert shared.post(messages=[{"role": "user", "content": "x" * 2_000_000}]).json()["code"] == (
        "context_length_exceeded"
    )
