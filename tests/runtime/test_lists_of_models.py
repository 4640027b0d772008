"""The list of models of an API that answers it oddly, over real HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiohttp import web
from support.asking import ask
from support.gateway import background
from support.waiting import until

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.llm import catalogue
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply, token_quota_exceeded
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
EMPTY = Reply(200, {"object": "list", "data": []})
OTHERS = Reply(200, {"object": "list", "data": [{"id": "gpt-oss-120b"}, {"object": "model"}, None]})
PAGE = Reply(200, "<html>Welcome</html>", content_type="text/html")
DIRECT: dict[str, Any] = {"effort": "none"}


def lists(api: Simulator) -> int:
    """How often the list was asked for."""
    return sum(call.path == "/v1/models" for call in api.calls)


@pytest.fixture(autouse=True)
def _short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause between two looks at a list that lacks a model, so short that no test waits for it."""
    monkeypatch.setattr(catalogue, "RETRY_PAUSE", 0.001)


@pytest.mark.parametrize("odd", [EMPTY, OTHERS, PAGE, Reply(200, "[]"), Reply(200, {"data": "?"}), Reply(503, "busy")])
def test_a_list_that_is_odd_for_a_moment_costs_no_request(simulate: Simulate, odd: Reply) -> None:
    """Empty, without the model, a page of HTML, or no list at all: it is asked for again."""
    api = simulate(lists=(odd,))
    assert ask(api.url, **DIRECT).outcome.answer
    assert lists(api) == 2


def test_a_list_without_the_model_is_believed_for_a_moment_only(simulate: Simulate) -> None:
    """The request that saw it twice fails; the next one sees a list that has the model."""
    api = simulate(lists=(EMPTY, OTHERS))
    with pytest.raises(errors.ModelUnavailable, match="serves: gpt-oss-120b"):
        ask(api.url, **DIRECT)
    assert ask(api.url, **DIRECT).outcome.answer
    assert lists(api) == 3


def test_an_address_that_answers_with_pages_is_said_to_be_no_api(simulate: Simulate) -> None:
    """Tried as often as any call, and then an error that says what to check."""
    api = simulate(lists=(PAGE,) * 9)
    with pytest.raises(errors.UnusableReply, match="check --base-url"):
        ask(api.url, call_attempts=2, **DIRECT)
    assert (lists(api), api.chat_calls) == (2, ())


@pytest.mark.parametrize("status", [403, 404, 405])
def test_a_key_that_gets_no_list_may_chat(simulate: Simulate, status: int) -> None:
    """The configured model is tried as it is, and the list is not asked for again."""
    api = simulate(lists=(Reply(status, {"message": "no", "code": "forbidden"}),))
    for _ in range(2):
        assert ask(api.url, **DIRECT).model == "llama-3.3-70b"
    assert lists(api) == 1


def test_requests_that_come_together_ask_once() -> None:
    """The first one asks, the others wait for what it gets."""
    asked, answer = list[web.Request](), threading.Event()

    async def models(request: web.Request) -> web.Response:
        asked.append(request)
        await asyncio.get_running_loop().run_in_executor(None, answer.wait)
        return web.json_response({"data": [{"id": "llama-3.3-70b"}]})

    async def chat(_: web.Request) -> web.Response:
        return web.json_response({"choices": [{"message": {"content": "42"}, "finish_reason": "stop"}]})

    with (
        background({("GET", "/v1/models"): models, ("POST", "/v1/chat/completions"): chat}) as url,
        ThreadPoolExecutor(8) as clients,
    ):
        requests = [clients.submit(ask, url, **DIRECT) for _ in range(8)]
        answer.set()
        assert [request.result().outcome.answer for request in requests] == ["42"] * 8
    assert len(asked) == 1


def test_what_ends_the_request_that_asks_does_not_end_those_that_wait_for_it(simulate: Simulate) -> None:
    """The first one's time is over before the list comes: another asks, and all the others are answered."""
    api = simulate(lists=(None,))
    deadline = Deadline(600.0)
    with ThreadPoolExecutor(4) as clients:
        first = clients.submit(ask, api.url, until=deadline, **DIRECT)
        until(lambda: lists(api))
        others = [clients.submit(ask, api.url, **DIRECT) for _ in range(3)]
        deadline.end(deadline.exceeded())
        with pytest.raises(errors.DeadlineExceeded):
            first.result()
        assert [other.result().model for other in others] == ["llama-3.3-70b"] * 3
    assert lists(api) == 2


def test_a_rating_model_that_is_not_served_costs_the_ratings(simulate: Simulate) -> None:
    """No call is made for it, and the answer says why it is not rated."""
    api = simulate(models=("llama-3.3-70b",))
    solved = ask(api.url, rating_model="gpt-oss-120b", rate_always=True, bestofn_n=2, planning_n=1, planning_m=1)
    assert solved.outcome.ratings == (None, None)
    assert len(api.chat_calls) == 8
    assert len(solved.degraded) == 2
    assert all("rating of candidate" in line and "gpt-oss-120b" in line for line in solved.degraded)


@pytest.mark.parametrize("status", [403, 404, 429])
def test_a_rating_model_that_the_key_may_not_use_costs_the_ratings(simulate: Simulate, status: int) -> None:
    """Its errors end the calls to that model; both candidates of the other model are finished."""
    refusal = token_quota_exceeded("day") if status == 429 else Reply(status, {"message": "no"})
    api = simulate(rules=(Rule(model="gpt-oss-120b", reply=refusal),))
    solved = ask(api.url, rating_model="gpt-oss-120b", rate_always=True, bestofn_n=2, planning_n=1, planning_m=1)
    assert len(solved.outcome.candidates) == 2
    assert solved.outcome.ratings == (None, None)
    assert [line.split(" left out")[0] for line in sorted(solved.degraded)] == [
        "rating of candidate 1",
        "rating of candidate 2",
    ]
