#!/usr/bin/env python3
"""
Tests for the status that a client gets when the provider fails
"""

import os
import sys

import httpx
import openai
import pytest
from cerebras.cloud import sdk as cerebras

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import optillm.server as server

REQUEST = httpx.Request("POST", "https://provider.example/v1/chat/completions")


def status_error(sdk, status, headers=None):
    """The error that an SDK raises for a response of this status"""
    body = {
        "message": "slow down",
        "type": "too_many_requests_error",
        "param": "quota",
        "code": "request_quota_exceeded",
    }
    response = httpx.Response(status, headers=headers, json=body, request=REQUEST)
    names = {401: "AuthenticationError", 404: "NotFoundError", 429: "RateLimitError", 503: "InternalServerError"}
    return getattr(sdk, names[status])(f"Error code: {status}", response=response, body=body)


@pytest.fixture
def post(monkeypatch):
    """Ask the server, with an approach that fails"""

    def ask(error, **body):
        def fail(system_prompt, initial_query, client, model):
            raise error

        monkeypatch.setitem(server.plugin_approaches, "fail", fail)
        monkeypatch.setattr(server, "get_config", lambda: (openai.OpenAI(api_key="x"), "x"))
        sent = {"model": "model", "optillm_approach": "fail", "messages": [{"role": "user", "content": "?"}]} | body
        return server.app.test_client().post("/v1/chat/completions", json=sent)

    return ask


@pytest.mark.parametrize("sdk", [cerebras, openai])
@pytest.mark.parametrize("status", [401, 404, 429, 503])
@pytest.mark.parametrize("stream", [False, True])
def test_status_of_the_provider_is_kept(post, sdk, status, stream):
    response = post(status_error(sdk, status), stream=stream)
    assert response.status_code == status
    error = response.get_json()["error"]
    assert (error["code"], error["param"]) == ("request_quota_exceeded", "quota")
    assert error["type"] == "too_many_requests_error"
    assert str(status) in error["message"]


@pytest.mark.parametrize("sdk", [cerebras, openai])
def test_client_is_told_how_long_to_wait(post, sdk):
    assert post(status_error(sdk, 429, {"retry-after": "7"})).headers["Retry-After"] == "7"
    assert "Retry-After" not in post(status_error(sdk, 429)).headers


@pytest.mark.parametrize("sdk", [cerebras, openai])
def test_provider_that_cannot_be_reached(post, sdk):
    assert post(sdk.APIConnectionError(request=REQUEST)).status_code == 502
    assert post(sdk.APITimeoutError(request=REQUEST)).status_code == 504


def test_other_error_is_internal(post):
    response = post(ValueError("no number"))
    assert response.status_code == 500
    assert response.get_json()["error"] == {"message": "no number", "type": "ValueError", "param": None, "code": None}


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
