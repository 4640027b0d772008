"""What OptiLLM would answer in a form of its own, and what tells clients not to begin again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optillm.server as server
import pytest

from optillm_cerebras_cepo.host import intake
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}


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
        (Reply(429, {"message": "?"}, {"retry-after": "1"}), 429, "true"),
        (Reply(503, {"message": "?"}), 503, "false"),
        (Reply(402, {"message": "?"}), 402, "false"),
    ],
)
def test_clients_are_told_whether_another_try_is_of_use(
    serve: Any, simulate: Simulate, reply: Reply, status: int, again: str
) -> None:
    """OpenAI's clients would begin a planned request anew, twice; all its calls were tried again already."""
    response = serve(simulate(rules=(Rule(reply=reply),)).url)(cepo_cerebras_call_attempts=1, **SMALL)
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
        ({"messages": [{"role": "user", "content": "x", "tool_calls": ""}]}, "messages[0].tool_calls"),
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
