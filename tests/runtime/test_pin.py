"""The pinned model, over real HTTP: found as the API spells it, and looked up again when it is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from aiohttp import web
from conftest import KEY
from support.asking import ask
from support.gateway import background

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL: dict[str, Any] = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1}
USERS_MODELS = ["llama3.3-70b", "llama3.1-8b", "qwen-3-235b-a22b-instruct-2507", "gpt-oss-120b", "qwen-3.8-27b"]


def lists(api: Simulator) -> int:
    """How often the list of models was fetched."""
    return sum(call.path == "/v1/models" for call in api.calls)


def test_llama_is_pinned_under_the_apis_spelling(simulate: Simulate) -> None:
    """The user's `llama3.3-70b` goes out as `llama-3.3-70b`, and is what the reply names."""
    api = simulate()
    assert ask(api.url, **SMALL).model == "llama-3.3-70b"
    assert {call.body["model"] for call in api.chat_calls} == {"llama-3.3-70b"}


@pytest.mark.parametrize("model", USERS_MODELS)
def test_every_model_that_users_name_answers(simulate: Simulate, model: str) -> None:
    """On an API that is strict about what each takes."""
    api = simulate()
    solved = ask(api.url, model=(model,), **SMALL)
    assert solved.outcome.answer
    assert solved.degraded == ()
    assert len(api.chat_calls) == 4


def test_a_list_is_an_order_of_preference(simulate: Simulate) -> None:
    """The first that the API serves answers."""
    api = simulate(models=("qwen-3.8-27b", "gpt-oss-120b"))
    assert ask(api.url, model=("llama3.3-70b", "gpt-oss-120b", "qwen-3.8-27b"), **SMALL).model == "gpt-oss-120b"


def test_when_none_is_served_no_token_is_spent(simulate: Simulate) -> None:
    """One error, which names what is served and the variable to set."""
    api = simulate(models=("gpt-oss-120b",))
    with pytest.raises(errors.ModelUnavailable, match=r"gpt-oss-120b.*CEPO_CEREBRAS_MODEL"):
        ask(api.url)
    assert api.chat_calls == ()


def test_the_list_of_models_is_cached(simulate: Simulate) -> None:
    """One fetch serves the process."""
    api = simulate()
    for _ in range(3):
        ask(api.url, **SMALL)
    assert lists(api) == 1


def test_an_old_list_of_models_serves_where_no_new_one_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API may well answer though its list does not come."""
    monkeypatch.setattr("optillm_cerebras_cepo.llm.catalogue.LIST_TTL", 0.0)
    listed: list[web.Request] = []

    async def models(request: web.Request) -> web.Response:
        listed.append(request)
        return web.json_response({"data": [{"id": "llama-3.3-70b"}]}, status=200 if len(listed) == 1 else 503)

    async def chat(request: web.Request) -> web.Response:
        return web.json_response({"choices": [{"message": {"content": "42"}, "finish_reason": "stop"}]})

    with background({("GET", "/v1/models"): models, ("POST", "/v1/chat/completions"): chat}) as url:
        for _ in range(2):
            assert ask(url, effort="none", call_attempts=1).model == "llama-3.3-70b"
    assert len(listed) == 2


def test_a_model_that_stops_working_is_looked_up_again(simulate: Simulate) -> None:
    """The list can name a model that is gone: a 404 says so, and the next request looks again."""
    gone = Reply(404, {"message": "no", "type": "not_found_error", "param": "model", "code": "model_not_found"})
    api = simulate(rules=(Rule(reply=gone, times=1),))
    with pytest.raises(errors.ModelUnavailable):
        ask(api.url, **SMALL)
    assert ask(api.url, **SMALL).outcome.answer
    assert lists(api) == 2


def test_an_endpoint_without_a_list_gets_the_first_wanted_model(simulate: Simulate) -> None:
    """A gateway may serve chat alone."""
    api = simulate()

    async def chat(request: web.Request) -> web.Response:
        async with httpx.AsyncClient() as client:
            answer = await client.post(
                f"{api.url}/v1/chat/completions", json=await request.json(), headers={"Authorization": f"Bearer {KEY}"}
            )
        return web.json_response(answer.json(), status=answer.status_code)

    with background({("POST", "/v1/chat/completions"): chat}) as url:
        assert ask(url, **SMALL).model == "llama-3.3-70b"
