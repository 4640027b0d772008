"""Deadline and budget as a client sees them: replies list what was left out, errors what was spent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.stalled_time import stalled_time

from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
DOWN = Rule(reply=Reply(503, {"message": "down"}))


def cost(api: Simulator) -> dict[str, float]:
    """What the API has counted."""
    tokens, price = api.usage, lookup("llama-3.3-70b").price
    assert price
    return {
        "calls": len(api.chat_calls),
        "prompt_tokens": tokens.prompt_tokens,
        "completion_tokens": tokens.completion_tokens,
        "cost": round(price.cost(tokens.prompt_tokens, tokens.completion_tokens), 8),
    }


def test_an_error_has_the_requests_usage(serve: Any, simulate: Simulate) -> None:
    """Calls and tokens as the API has counted them, including replies before the failure."""
    gone = Reply(404, {"message": "no", "type": "not_found_error", "param": "model", "code": "model_not_found"})
    api = simulate(rules=(Rule(times=1), Rule(reply=gone)))
    response = serve(api.url)(**SMALL)
    assert response.status_code == 404
    assert set(response.get_json()) == {"error", "cepo_cerebras"}
    assert response.get_json()["cepo_cerebras"] == cost(api)
    assert cost(api)["calls"] == 2


def test_an_error_in_a_stream_has_the_requests_usage(serve: Any, simulate: Simulate) -> None:
    """In its event."""
    api = simulate(rules=(DOWN,))
    response = serve(api.url)(**SMALL, stream=True, cepo_cerebras_call_attempts=1)
    last = response.get_data(as_text=True).strip().split("\n\n")[-1]
    body = json.loads(last.removeprefix("data: "))
    assert body["error"]["code"] == "api_unavailable"
    assert body["cepo_cerebras"] == cost(api) == {"calls": 2, "prompt_tokens": 0, "completion_tokens": 0, "cost": 0}


def test_an_error_before_any_call_has_no_usage(ask: Any) -> None:
    """The error is the body's only field."""
    assert set(ask(cepo_cerebras_efort="none").get_json()) == {"error"}


def test_a_budget_of_calls_is_not_exceeded(ask: Any, api: Simulator) -> None:
    """24 calls are enough for two of three candidates, should they differ; these agree, and are not rated."""
    reply = ask(cepo_cerebras_max_calls=24).get_json()
    assert reply["cepo_cerebras"]["degraded"] == ["2 of 3 candidates: max_calls 24 allows no more"]
    assert reply["cepo_cerebras"]["calls"] == len(api.chat_calls) == 16


@pytest.mark.parametrize("body", [{}, {"cepo_cerebras_effort": "none"}])
def test_a_budget_of_one_call_is_a_direct_answer(ask: Any, api: Simulator, body: dict[str, Any]) -> None:
    """As with effort `none`."""
    assert ask(**body, cepo_cerebras_max_calls=1).get_json()["choices"][0]["message"]["content"]
    assert len(api.chat_calls) == 1


def test_a_budget_of_tokens_is_not_exceeded(ask: Any, api: Simulator) -> None:
    """By the API's own count; calls that would exceed it are not made, and the request is answered."""
    response = ask(cepo_cerebras_max_total_tokens=12_000)
    assert response.status_code == 200
    assert 0 < api.usage.total_tokens <= 12_000
    assert response.get_json()["cepo_cerebras"]["degraded"][0].endswith("max_total_tokens 12000 allows no more")


def test_a_budget_without_an_answer_is_an_error(ask: Any, api: Simulator) -> None:
    """422 with the setting to raise, and nothing spent."""
    response = ask(cepo_cerebras_max_total_tokens=100)
    assert response.status_code == 422
    error = response.get_json()["error"]
    assert (error["code"], "raise max_total_tokens" in error["message"]) == ("out_of_budget", True)
    assert response.headers["x-should-retry"] == "false"
    assert api.chat_calls == ()


def test_a_budget_above_the_operators_is_refused(ask: Any, api: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """`param` is the field; a smaller one is accepted."""
    monkeypatch.setenv("CEPO_CEREBRAS_MAX_CALLS", "8")
    response = ask(cepo_cerebras_max_calls=9)
    assert (response.status_code, response.get_json()["error"]["param"]) == (400, "cepo_cerebras_max_calls")
    assert api.chat_calls == ()
    assert ask(cepo_cerebras_max_calls=3).get_json()["cepo_cerebras"]["calls"] == 3
    assert ask().get_json()["cepo_cerebras"]["calls"] == 8


def test_a_review_that_hangs_is_left_out(serve: Any, simulate: Simulate) -> None:
    """At the deadline the solution becomes the answer, and the reply says so."""
    api = simulate(rules=(Rule("(?s)^Previous responses", fault="hang"), Rule(text="It is 42.")))
    with stalled_time(api):
        reply = serve(api.url)(**SMALL, cepo_cerebras_deadline=100).get_json()
    assert reply["choices"][0]["message"]["content"] == "It is 42."
    assert any(line.startswith("candidate 1 review left out: ") for line in reply["cepo_cerebras"]["degraded"])


@pytest.mark.parametrize("effort", ["medium", "auto", "none"])
def test_a_request_without_an_answer_at_its_deadline_is_an_error(serve: Any, simulate: Simulate, effort: str) -> None:
    """504 with all calls, whichever of them was the last."""
    api = simulate(rules=(Rule(fault="hang"),))
    with stalled_time(api):
        response = serve(api.url)(cepo_cerebras_deadline=100, cepo_cerebras_effort=effort)
    assert response.status_code == 504
    assert response.get_json()["error"]["code"] == "deadline_exceeded"
    assert response.get_json()["cepo_cerebras"] == cost(api)
    assert api.chat_calls
