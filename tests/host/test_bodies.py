"""Bodies that are refused before any call: 400 or 413, and the field or place at fault."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optillm.server as server
import pytest

from optillm_cerebras_cepo.host import hooks
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]


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
def test_a_bad_request_is_refused_before_any_call(ask: Any, api: Simulator, body: dict[str, Any], param: str) -> None:
    """OptiLLM would answer some of these with a page of HTML, others with 200 and no choices."""
    response = ask(**body)
    assert response.status_code == (404 if param == "model" else 400)
    error = response.get_json()["error"]
    assert error["param"] == param
    assert error["message"]
    assert "\n" not in error["message"]
    assert api.chat_calls == ()


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "line 1, column 1"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1,\n  b: 2}', "line 2, column 3"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b"[]", "JSON object"),
        (b"5", "JSON object"),
        (b'"text"', "JSON object"),
    ],
)
def test_a_body_that_is_not_an_object_is_refused(ask: Any, data: bytes, named: str) -> None:
    """With the place of the fault."""
    response = server.app.test_client().post("/v1/chat/completions", data=data, content_type="application/json")
    assert response.status_code == 400
    assert named in response.get_json()["error"]["message"]


def test_a_body_that_is_too_large_is_refused(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """413, by its declared length."""
    monkeypatch.setattr(hooks, "MAX_BODY", 1000)
    response = ask("word " * 1000)
    assert (response.status_code, response.get_json()["error"]["code"]) == (413, "request_too_large")


DEEP = b'{"messages": ' + b"[" * 100_000


@pytest.mark.parametrize("body", [DEEP, DEEP + b"]" * 100_000 + b"}"])
def test_a_deeply_nested_body_is_refused(serve: Any, simulate: Simulate, body: bytes) -> None:
    """Flask would answer Python's RecursionError with 500."""
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
def test_what_optillm_or_the_api_would_fail_on_is_refused(
    serve: Any, simulate: Simulate, body: dict[str, Any], param: str | None
) -> None:
    """400 with the field, and no call."""
    api = simulate()
    response = serve(api.url)(**({"question": None} if "messages" in body else {}), **body)
    assert (response.status_code, response.get_json()["error"]["param"]) == (400, param)
    assert api.chat_calls == ()


def test_a_null_approach_is_the_default(ask: Any) -> None:
    """OptiLLM looks for one with that name."""
    assert ask(optillm_approach=None, cepo_cerebras_effort="low").get_json()["cepo_cerebras"]["calls"] == 6
