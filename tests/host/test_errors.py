"""Errors: a status, one line in OpenAI's shape, nothing spent, and whether another try is of any use."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import optillm.server as server
import pytest
from conftest import KEY
from pytest_mock import MockerFixture
from support.ports import free_port

from optillm_cerebras_cepo.host import intake
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": -1}, "n"),
        ({"n": 9}, "n"),
        ({"n": "2"}, "n"),
        ({"n": True}, "n"),
        ({"question": None}, "messages"),
        ({"question": None, "messages": []}, "messages"),
        ({"question": None, "messages": "x"}, "messages"),
        ({"question": None, "messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"question": None, "messages": [{"role": "user"}]}, "messages[0].content"),
        ({"question": None, "messages": [5]}, "messages[0]"),
        ({"cepo_cerebras_modle": "x"}, "cepo_cerebras_modle"),
        ({"cepo_cerebras_planning_m": 1}, "cepo_cerebras_planning_m"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"cepo_cerebras_model": "gpt-5"}, "model"),
    ],
)
def test_a_bad_request_is_told_so_before_a_token_is_spent(
    ask: Any, api: Simulator, body: dict[str, Any], param: str
) -> None:
    """OptiLLM would answer some of these with a page of HTML, some with 200 and no choices."""
    response = ask(**body)
    assert response.status_code == (404 if param == "model" else 400)
    error = response.get_json()["error"]
    assert error["param"] == param
    assert error["message"]
    assert "\n" not in error["message"]
    assert api.chat_calls == ()


@pytest.mark.parametrize("data", ["", "{", "[]", "5", '"text"'])
def test_a_body_that_is_no_object_is_told_so(ask: Any, data: str) -> None:
    """In JSON, as all else."""
    response = server.app.test_client().post("/v1/chat/completions", data=data, content_type="application/json")
    assert response.status_code == 400
    assert "JSON object" in response.get_json()["error"]["message"]


def test_no_key_is_told_so(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where OptiLLM goes looking for another provider's library."""
    monkeypatch.delenv("CEREBRAS_API_KEY")
    response = ask()
    assert response.status_code == 401
    assert "CEREBRAS_API_KEY" in response.get_json()["error"]["message"]


def test_a_variable_that_switches_to_a_local_model_is_told_so(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """OptiLLM would load torch."""
    monkeypatch.setenv("OPTILLM_API_KEY", "x")
    response = ask()
    assert response.status_code == 500
    assert "OPTILLM_API_KEY" in response.get_json()["error"]["message"]


def test_a_bearer_for_another_provider_is_refused(ask: Any, api: Simulator) -> None:
    """OptiLLM hands over an OpenAI client for it: no host is called with somebody's key."""
    response = ask(headers={"Authorization": "Bearer sk-somebodys-key"})
    assert response.status_code == 400
    error = response.get_json()["error"]
    assert error["code"] == "not_a_cerebras_client"
    assert "sk-somebodys-key" not in str(error)
    assert api.chat_calls == ()


def test_any_other_bearer_is_ignored(ask: Any, api: Simulator) -> None:
    """The server's own key goes upstream."""
    assert ask(headers={"Authorization": "Bearer anything"}, **SMALL).status_code == 200


def test_a_wrong_key_is_told_so(serve: Any, simulate: Callable[..., Simulator]) -> None:
    """401 from upstream, without the key."""
    response = serve(simulate(keys=("csk-another",)).url)()
    assert response.status_code == 401
    assert response.get_json()["error"]["code"] == "wrong_api_key"
    assert KEY not in response.get_data(as_text=True)


def test_an_api_that_is_not_there_is_told_so(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """502, and what to check."""
    monkeypatch.setenv("CEPO_CEREBRAS_CALL_ATTEMPTS", "1")
    response = serve(f"http://127.0.0.1:{free_port()}")()
    assert response.status_code == 502
    assert "--base-url" in response.get_json()["error"]["message"]


def test_a_prompt_beyond_the_context_is_told_so(ask: Any, api: Simulator) -> None:
    """400 with OpenAI's code; refused calls spend nothing."""
    response = ask("word " * 200_000, **SMALL)
    assert response.status_code == 400
    assert response.get_json()["error"]["code"] == "context_length_exceeded"
    assert api.usage.completion_tokens == 0


def test_a_limit_is_told_with_its_wait(serve: Any, simulate: Callable[..., Simulator]) -> None:
    """429 and retry-after, so that clients wait as they know how to."""
    limited = Reply(429, {"message": "x", "code": "queue_exceeded"}, {"retry-after": "7"})
    response = serve(simulate(rules=(Rule(reply=limited),)).url)(**SMALL, cepo_cerebras_deadline=6)
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")


def test_the_environment_is_checked_by_name(ask: Any, api: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistyped variable does not silently do nothing."""
    monkeypatch.setenv("CEPO_CEREBRAS_MODLE", "x")
    response = ask()
    assert response.status_code == 500
    assert "did you mean CEPO_CEREBRAS_MODEL?" in response.get_json()["error"]["message"]
    assert api.chat_calls == ()


def test_a_defect_of_ours_shows_neither_prompt_nor_trace(
    ask: Any, mocker: MockerFixture, caplog: pytest.LogCaptureFixture
) -> None:
    """500 with its kind; the log says where, and not with what."""
    mocker.patch.object(RUNTIME, "solve", side_effect=RuntimeError("the secret prompt"))
    with caplog.at_level(logging.INFO):
        response = ask("the secret prompt")
    assert response.status_code == 500
    assert "RuntimeError" in response.get_json()["error"]["message"]
    assert "the secret prompt" not in response.get_data(as_text=True) + caplog.text
    assert "plugin.py" in caplog.text


def test_a_wrong_key_of_the_client_is_told_apart_from_one_of_the_server(
    ask: Any, serve: Any, simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are 401; the code and the words say whose it is."""
    wrong = Reply(401, {"message": "Wrong API Key", "code": "wrong_api_key"})
    upstream = serve(simulate(rules=(Rule(reply=wrong),)).url)(**SMALL)
    monkeypatch.setitem(server.server_config, "optillm_api_key", "the right one")
    clients = ask(headers={"Authorization": "Bearer the wrong one"})
    assert (upstream.status_code, clients.status_code) == (401, 401)
    assert upstream.get_json()["error"]["code"] == "wrong_api_key"
    assert clients.get_json()["error"]["code"] == "wrong_client_key"
    assert "the wrong one" not in clients.get_data(as_text=True)


def test_a_key_with_an_umlaut_is_a_wrong_key(ask: Any, api: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """OptiLLM fails over it, with 500."""
    monkeypatch.setitem(server.server_config, "optillm_api_key", "the right one")
    response = ask(headers={"Authorization": "Bearer schlüssel"})
    assert (response.status_code, response.get_json()["error"]["code"]) == (401, "wrong_client_key")
    assert api.chat_calls == ()


def test_a_body_beyond_all_measure_is_not_read(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """413, by its declared length."""
    monkeypatch.setattr(intake, "LARGEST", 1000)
    response = ask("word " * 1000)
    assert (response.status_code, response.get_json()["error"]["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(("status", "kind"), [(400, "refused_by_api"), (413, "too_large_for_api")])
def test_what_the_api_refuses_keeps_its_status(serve: Any, simulate: Simulate, status: int, kind: str) -> None:
    """In our words."""
    api = simulate(rules=(Rule(reply=Reply(status, {"message": "my secret"})),))
    response = serve(api.url)(**SMALL)
    assert (response.status_code, response.get_json()["error"]["code"]) == (status, kind)
    assert "my secret" not in response.get_data(as_text=True)


def test_what_cannot_be_processed_keeps_its_status(serve: Any, simulate: Simulate) -> None:
    """422."""
    api = simulate(rules=(Rule(reply=Reply(422, {"message": "?"})),))
    assert serve(api.url)(cepo_cerebras_effort="none").status_code == 422


@pytest.mark.parametrize(
    ("reply", "status", "again"),
    [
        (Reply(429, {"message": "?"}), 429, "false"),
        (Reply(429, {"message": "?"}, {"retry-after": "9"}), 429, "true"),
        (Reply(429, {"message": "?"}, {"retry-after": "3600"}), 429, "false"),
        (Reply(503, {"message": "?"}), 503, "false"),
        (Reply(402, {"message": "?"}), 402, "false"),
    ],
)
def test_clients_are_told_whether_another_try_is_of_use(
    serve: Any, simulate: Simulate, reply: Reply, status: int, again: str
) -> None:
    """OpenAI's clients would begin a planned request anew, twice; all its calls were tried again already."""
    wait = {"cepo_cerebras_call_attempts": 1, "cepo_cerebras_deadline": 2}
    response = serve(simulate(rules=(Rule(reply=reply),)).url)(**wait, **SMALL)
    assert (response.status_code, response.headers["x-should-retry"]) == (status, again)


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_another_method_is_refused_in_the_same_form(serve: Any, simulate: Simulate, method: str) -> None:
    """Flask's own answer is a page of HTML."""
    serve(simulate().url)
    response = getattr(server.app.test_client(), method)("/v1/chat/completions")
    assert (response.status_code, response.get_json()["error"]["type"]) == (405, "invalid_request_error")


def test_it_names_the_methods_that_there_are(serve: Any, simulate: Simulate) -> None:
    """As RFC 9110 wants it."""
    serve(simulate().url)
    assert "POST" in server.app.test_client().get("/v1/chat/completions").headers["allow"]


@pytest.mark.parametrize(("method", "path", "status"), [("post", "/v1/completions", 404), ("post", "/health", 405)])
def test_so_is_every_other_address(serve: Any, simulate: Simulate, method: str, path: str, status: int) -> None:
    """Where this approach is the server's own."""
    serve(simulate().url)
    response = getattr(server.app.test_client(), method)(path)
    assert (response.status_code, response.get_json()["error"]["code"]) == (status, "invalid_request")


DEEP = b'{"messages": ' + b"[" * 100_000


@pytest.mark.parametrize("body", [DEEP, DEEP + b"]" * 100_000 + b"}"])
def test_a_body_that_is_nested_without_end_is_no_body(serve: Any, simulate: Simulate, body: bytes) -> None:
    """Python gives up with an error that Flask answers 500."""
    serve(simulate().url)
    response = server.app.test_client().post("/v1/chat/completions", data=body, content_type="application/json")
    assert (response.status_code, response.get_json()["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"user": "\ud800"}, None),
        ({"model": 5}, "model"),
        ({"model": "&cepo_cerebras"}, "model"),
        ({"model": "cepo_cerebras&none-m"}, "model"),
        ({"optillm_approach": {}}, "optillm_approach"),
        ({"optillm_approach": "cepo_cerbras"}, "optillm_approach"),
        ({"parallel_tool_calls": "x"}, "parallel_tool_calls"),
        ({"messages": [{"role": "user", "content": "x", "name": 5}]}, "messages[0].name"),
        ({"messages": [{"role": "assistant", "content": "x", "tool_calls": ""}]}, "messages[0].tool_calls"),
        ({"messages": [{"role": [], "content": "x", "tool_calls": [{}]}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 5}, {"type": "image_url"}]}]},
            "messages[0].content",
        ),
        ({"messages": [{"role": "user", "content": [5, {"type": "image_url"}]}]}, "messages[0].content"),
    ],
)
def test_what_optillm_or_the_api_would_stumble_over_is_refused_at_the_door(
    serve: Any, simulate: Simulate, body: dict[str, Any], param: str | None
) -> None:
    """400, the field, and nothing spent."""
    api = simulate()
    response = serve(api.url)(**({"question": None} if "messages" in body else {}), **body)
    assert (response.status_code, response.get_json()["error"]["param"]) == (400, param)
    assert api.chat_calls == ()


def test_an_approach_that_is_null_is_the_servers_own(ask: Any) -> None:
    """OptiLLM looks for one of that name."""
    assert ask(optillm_approach=None, **SMALL).get_json()["cepo_cerebras"]["calls"] == 4


def test_other_approaches_keep_optillms_own_form(serve: Any, simulate: Simulate) -> None:
    """What does not come to us is none of our business."""
    serve(simulate().url, "none")
    response = server.app.test_client().get("/v1/chat/completions")
    assert response.status_code == 405
    assert response.get_json(silent=True) is None
