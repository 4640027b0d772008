"""Errors of requests: status, OpenAI's format, no tokens spent, and whether a retry helps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import optillm.server as server
import pytest
from conftest import KEY
from pytest_mock import MockerFixture
from support.ports import free_port

from optillm_cerebras_cepo.core.errors import ApiUnavailable, CepoError, NoAnswer, QuotaExhausted, RateLimited
from optillm_cerebras_cepo.host.responses import error_headers
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}


def test_a_missing_key_is_an_error(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """OptiLLM would import another provider's library."""
    monkeypatch.delenv("CEREBRAS_API_KEY")
    response = ask()
    assert response.status_code == 401
    assert "CEREBRAS_API_KEY" in response.get_json()["error"]["message"]


def test_a_local_model_is_a_configuration_error(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """OptiLLM would load torch."""
    monkeypatch.setenv("OPTILLM_API_KEY", "x")
    response = ask()
    assert response.status_code == 500
    assert "OPTILLM_API_KEY" in response.get_json()["error"]["message"]


def test_a_bearer_for_another_provider_is_refused(ask: Any, api: Simulator) -> None:
    """OptiLLM passes an OpenAI client for it; no host is called with that key."""
    response = ask(headers={"Authorization": "Bearer sk-somebodys-key"})
    assert response.status_code == 400
    error = response.get_json()["error"]
    assert error["code"] == "not_a_cerebras_client"
    assert "sk-somebodys-key" not in str(error)
    assert api.chat_calls == ()


def test_any_other_bearer_is_ignored(ask: Any, api: Simulator) -> None:
    """The server's own key is sent to the API."""
    assert ask(headers={"Authorization": "Bearer anything"}, **SMALL).status_code == 200


def test_a_wrong_cerebras_key_is_an_error(serve: Any, simulate: Callable[..., Simulator]) -> None:
    """The API's 401, without the key."""
    response = serve(simulate(keys=("csk-another",)).url)()
    assert response.status_code == 401
    assert response.get_json()["error"]["code"] == "wrong_api_key"
    assert KEY not in response.get_data(as_text=True)


def test_an_unreachable_api_is_an_error(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """502, with what to check."""
    monkeypatch.setenv("CEPO_CEREBRAS_CALL_ATTEMPTS", "1")
    response = serve(f"http://127.0.0.1:{free_port()}")()
    assert response.status_code == 502
    assert "--base-url" in response.get_json()["error"]["message"]


def test_a_prompt_beyond_the_context_window_is_an_error(ask: Any, api: Simulator) -> None:
    """400 with OpenAI's code; refused calls spend nothing."""
    response = ask("word " * 200_000, **SMALL)
    assert response.status_code == 400
    assert response.get_json()["error"]["code"] == "context_length_exceeded"
    assert api.usage.completion_tokens == 0


def test_a_rate_limit_error_has_retry_after(serve: Any, simulate: Callable[..., Simulator]) -> None:
    """429, for which clients wait by themselves."""
    limited = Reply(429, {"message": "x", "code": "queue_exceeded"}, {"retry-after": "700"})
    response = serve(simulate(rules=(Rule(reply=limited),)).url)(**SMALL, cepo_cerebras_deadline=600)
    assert (response.status_code, response.headers["retry-after"]) == (429, "700")


def test_an_unknown_variable_is_a_configuration_error(
    ask: Any, api: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistyped name is not ignored."""
    monkeypatch.setenv("CEPO_CEREBRAS_MODLE", "x")
    response = ask()
    assert response.status_code == 500
    assert "did you mean CEPO_CEREBRAS_MODEL?" in response.get_json()["error"]["message"]
    assert api.chat_calls == ()


def test_an_internal_error_shows_neither_prompt_nor_traceback(
    ask: Any, mocker: MockerFixture, caplog: pytest.LogCaptureFixture
) -> None:
    """500 with the exception's type; the log has its place, but not its message."""
    mocker.patch.object(RUNTIME, "answer", side_effect=RuntimeError("the secret prompt"))
    with caplog.at_level(logging.INFO):
        response = ask("the secret prompt")
    assert response.status_code == 500
    assert "RuntimeError" in response.get_json()["error"]["message"]
    assert "the secret prompt" not in response.get_data(as_text=True) + caplog.text
    assert "plugin.py" in caplog.text


def test_wrong_client_and_cerebras_keys_have_different_codes(
    ask: Any, serve: Any, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are 401."""
    wrong = Reply(401, {"message": "Wrong API Key", "code": "wrong_api_key"})
    upstream = serve(simulate(rules=(Rule(reply=wrong),)).url)(**SMALL)
    monkeypatch.setitem(server.server_config, "optillm_api_key", "the right one")
    clients = ask(headers={"Authorization": "Bearer the wrong one"})
    assert (upstream.status_code, clients.status_code) == (401, 401)
    assert upstream.get_json()["error"]["code"] == "wrong_api_key"
    assert clients.get_json()["error"]["code"] == "wrong_client_key"
    assert "the wrong one" not in clients.get_data(as_text=True)


def test_a_non_ascii_client_key_is_a_wrong_key(ask: Any, api: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """OptiLLM fails on it with status 500."""
    monkeypatch.setitem(server.server_config, "optillm_api_key", "the right one")
    response = ask(headers={"Authorization": "Bearer schlüssel"})
    assert (response.status_code, response.get_json()["error"]["code"]) == (401, "wrong_client_key")
    assert api.chat_calls == ()


@pytest.mark.parametrize(("status", "kind"), [(400, "refused_by_api"), (413, "too_large_for_api")])
def test_what_the_api_refuses_keeps_its_status(serve: Any, simulate: Simulate, status: int, kind: str) -> None:
    """With our own message."""
    api = simulate(rules=(Rule(reply=Reply(status, {"message": "my secret"})),))
    response = serve(api.url)(**SMALL)
    assert (response.status_code, response.get_json()["error"]["code"]) == (status, kind)
    assert "my secret" not in response.get_data(as_text=True)


def test_a_422_keeps_its_status(serve: Any, simulate: Simulate) -> None:
    """For a direct call."""
    api = simulate(rules=(Rule(reply=Reply(422, {"message": "?"})),))
    assert serve(api.url)(cepo_cerebras_effort="none").status_code == 422


@pytest.mark.parametrize(
    ("status", "retry_after"),
    [(429, {"retry-after": "3600"}), (503, {}), (402, {})],
)
def test_clients_are_told_not_to_retry(
    serve: Any, simulate: Simulate, status: int, retry_after: dict[str, str]
) -> None:
    """OpenAI's clients would repeat a planned request twice; its calls have been retried already."""
    reply = Reply(status, {"message": "?"}, retry_after)
    response = serve(simulate(rules=(Rule(reply=reply),)).url)(cepo_cerebras_call_attempts=1, **SMALL)
    assert (response.status_code, response.headers["x-should-retry"]) == (status, "false")


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (RateLimited("?"), "false"),
        (RateLimited("?", retry_after=60.0), "true"),
        (RateLimited("?", retry_after=61.0), "false"),
        (QuotaExhausted("?", retry_after=9.0), "false"),
        (ApiUnavailable("?", retry_after=9.0), "true"),
        (NoAnswer("?", retry_after=9.0), "false"),
    ],
)
def test_clients_retry_only_what_will_soon_succeed(error: CepoError, again: str) -> None:
    """A minute is the longest wait that they obey."""
    assert error_headers(error)["x-should-retry"] == again


def test_other_approaches_keep_optillms_error_format(serve: Any, simulate: Simulate) -> None:
    """Our hooks change the responses to our own requests only."""
    serve(simulate().url, "none")
    response = server.app.test_client().get("/v1/chat/completions")
    assert response.status_code == 405
    assert response.get_json(silent=True) is None
