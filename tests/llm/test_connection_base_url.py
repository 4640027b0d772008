"""Base URLs: what is removed, and what is refused."""

from __future__ import annotations

import logging

import pytest
from support.sdk_client import Simulate, connect, request

from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.llm.connection import normalized
from optillm_cerebras_cepo.runtime import RUNTIME

ENDPOINTS = [
    "",
    "/",
    "//",
    "/v1",
    "/v1/",
    "/v1/chat",
    "/v1/chat/completions",
    "/v1/chat/completions/",
    "/v1/completions",
    "/v1/models",
    "/chat/completions",
]


@pytest.mark.parametrize("ending", ENDPOINTS)
@pytest.mark.parametrize(
    "root", ["https://api.cerebras.ai", "http://127.0.0.1:8099", "https://gateway/path", "http://v1"]
)
def test_path_of_an_endpoint_is_removed(root: str, ending: str) -> None:
    """The SDK adds /v1 and the endpoint; a path before them is the gateway's."""
    assert normalized(root + ending) == root


@pytest.mark.parametrize("ending", ["/models", "/v2", "/v1/openai", "/chat", "/xv1"])
def test_any_other_path_stays(ending: str) -> None:
    """It may be a gateway's."""
    assert normalized(f"https://gateway{ending}") == f"https://gateway{ending}"


@pytest.mark.parametrize("ending", ENDPOINTS)
def test_calls_reach_the_api_whatever_was_appended(simulate: Simulate, ending: str) -> None:
    """The list of models and a completion."""
    client = connect(simulate().url + ending)
    assert client.list_models()
    assert client.complete(request()).text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("api.cerebras.ai", "scheme and host"),
        ("ftp://api.cerebras.ai", "scheme and host"),
        ("http://", "scheme and host"),
        ("http:///v1", "scheme and host"),
        ("", "scheme and host"),
        ("http://planted:99999", "scheme and host"),
        ("http://planted:x", "scheme and host"),
        ("http://[::1", "scheme and host"),
        ("https://api.cerebras.ai ", "space or a control character"),
        (" https://api.cerebras.ai", "space or a control character"),
        ("https://api.cerebras.ai\n", "space or a control character"),
        ("https://api.cerebras.ai/v1?version=planted", "query or a fragment"),
        ("https://api.cerebras.ai?", "query or a fragment"),
        ("https://api.cerebras.ai#planted", "query or a fragment"),
        ("https://user:planted@api.cerebras.ai", "user name"),
    ],
)
def test_invalid_base_url_is_refused_in_one_line(url: str, words: str) -> None:
    """The message says what is wrong and does not quote the URL, which may contain a password."""
    with pytest.raises(BadConfiguration, match=words) as caught:
        normalized(url)
    assert "--base-url" in caught.value.message
    assert "planted" not in caught.value.message
    assert "\n" not in caught.value.message


def test_removed_path_is_logged_once(simulate: Simulate, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is logged if nothing was removed."""
    url = simulate().url
    with caplog.at_level(logging.INFO, "optillm_cerebras_cepo"):
        for _ in range(3):
            RUNTIME.client(f"{url}/v1/chat/completions/", "csk-x")
        RUNTIME.client(f"{url}/", "csk-y")
    lines = [record.getMessage() for record in caplog.records if record.name == "optillm_cerebras_cepo"]
    assert lines == [f"cepo_cerebras: the base URL is shortened to {url}; /v1 is added to each call's path"]
