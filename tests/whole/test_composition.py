"""Beside other approaches of OptiLLM's: a real `optillm` process and the simulated API.

Of a combination OptiLLM makes the reply: texts without `cepo_cerebras`, under the model that the client named, with the
completion tokens of all approaches together. The other approaches ask for that model, so it has to be one that the API
lists; ours is pinned.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from conftest import KEY
from support.optillm_process import Server, optillm
from support.quiet import quiet

from optillm_cerebras_cepo.simulator import CLIENT_GONE
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.options import SimulatorOptions
from optillm_cerebras_cepo.simulator.server import Simulator

MODEL = "llama-3.3-70b"
QUESTION = "What is 6 times 7?"
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
OURS = 4  # calls of such a request: plan, execute, review, final
AGAIN = "Read the question again: "  # in a prompt of re2; in a plan of CePO a line ends after it
REREAD = "re-read: forty-two"
DEFAULT = "The simulated answer is 42."
ENVIRON = {"CEREBRAS_API_KEY": KEY}


@pytest.fixture(scope="module")
def api() -> Iterator[Simulator]:
    """One simulated API for this file, on which re2 is known by its answer."""
    with Simulator(SimulatorOptions(rules=(Rule(pattern=AGAIN, text=REREAD),))) as running:
        yield running


@pytest.fixture(scope="module")
def server(api: Simulator) -> Iterator[Server]:
    """An optillm that takes the approach from each request."""
    with optillm("--base-url", api.url, environ=ENVIRON) as running:
        yield running


def by_body(approach: str) -> dict[str, Any]:
    """Named in a field of its own."""
    return {"model": MODEL, "optillm_approach": approach, "messages": [{"role": "user", "content": QUESTION}]}


def by_model(approach: str) -> dict[str, Any]:
    """Named before the model."""
    return {"model": f"{approach}-{MODEL}", "messages": [{"role": "user", "content": QUESTION}]}


def by_tag(approach: str) -> dict[str, Any]:
    """Named in the conversation."""
    text = f"<optillm_approach>{approach}</optillm_approach>{QUESTION}"
    return {"model": MODEL, "messages": [{"role": "user", "content": text}]}


ways = pytest.mark.parametrize("named", [by_body, by_model, by_tag])


def contents(response: httpx.Response) -> list[str]:
    """The texts of all choices, of a reply that is one of OptiLLM's own making."""
    body = response.json()
    assert response.status_code == 200, body
    assert "cepo_cerebras" not in body
    assert [choice["index"] for choice in body["choices"]] == list(range(len(body["choices"])))
    return [choice["message"]["content"] for choice in body["choices"]]


def last_prompts(api: Simulator) -> list[str]:
    """What was asked last in each call, in the order of the calls."""
    return [call.body["messages"][-1]["content"] for call in api.chat_calls]


# One after the other.


@ways
def test_another_approach_goes_on_with_our_answer(server: Server, api: Simulator, named: Any) -> None:
    """`cepo_cerebras&re2`: re2 reads our final answer, and its own is the reply."""
    api.clear()
    response = server.ask(named("cepo_cerebras&re2") | SMALL)
    assert contents(response) == [REREAD]
    assert len(api.chat_calls) == OURS + 1
    assert last_prompts(api)[-1].count(DEFAULT) == 2
    assert response.json()["usage"]["completion_tokens"] == api.usage.completion_tokens


@ways
def test_ours_goes_on_with_another_approachs_answer(server: Server, api: Simulator, named: Any) -> None:
    """`re2&cepo_cerebras`: what re2 answers is the question that we plan for, as OptiLLM hands it on."""
    api.clear()
    response = server.ask(named("re2&cepo_cerebras") | SMALL)
    (answer,) = contents(response)
    assert answer.startswith(DEFAULT)
    assert len(api.chat_calls) == 1 + OURS
    first, plan = last_prompts(api)[:2]
    assert AGAIN in first
    assert REREAD in plan
    assert QUESTION not in plan
    assert response.json()["usage"]["completion_tokens"] == api.usage.completion_tokens


def test_ours_can_stand_on_both_sides(server: Server, api: Simulator) -> None:
    """Each time with its own calls, and with the client's system prompt in each of them."""
    api.clear()
    body = by_body("cepo_cerebras&re2&cepo_cerebras") | SMALL
    body["messages"] = [{"role": "system", "content": "Be exact."}, *body["messages"]]
    (answer,) = contents(server.ask(body))
    assert answer.startswith(DEFAULT)
    assert len(api.chat_calls) == OURS + 1 + OURS
    assert all("Be exact." in call.body["messages"][0]["content"] for call in api.chat_calls)


def test_a_combination_is_streamed_by_optillm(server: Server, api: Simulator) -> None:
    """In one piece when all is done: progress is ours to send only where the whole reply is."""
    api.clear()
    response = server.ask(by_body("re2&cepo_cerebras") | SMALL | {"stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [line for line in response.text.splitlines() if line]
    assert len(events) == 2
    assert DEFAULT in events[0]
    assert events[1] == "data: [DONE]"
    assert len(api.chat_calls) == 1 + OURS


# Side by side.


@ways
def test_side_by_side_each_approach_is_a_choice(server: Server, api: Simulator, named: Any) -> None:
    """`cepo_cerebras|re2`: in the order in which they are named, whichever is done first."""
    api.clear()
    response = server.ask(named("cepo_cerebras|re2") | SMALL)
    ours, theirs = contents(response)
    assert ours.startswith(DEFAULT)
    assert theirs == REREAD
    assert len(api.chat_calls) == OURS + 1
    assert response.json()["usage"]["completion_tokens"] == api.usage.completion_tokens
    plan = next(prompt for prompt in last_prompts(api) if AGAIN not in prompt)
    assert QUESTION in plan


def test_side_by_side_settings_of_the_request_are_ours(server: Server, api: Simulator) -> None:
    """Two candidates; re2 makes its one call."""
    api.clear()
    contents(server.ask(by_body("re2|cepo_cerebras") | SMALL | {"cepo_cerebras_bestofn_n": 2}))
    assert len(api.chat_calls) == 1 + 2 * OURS


def test_beside_optillms_own_cepo_the_request_fails() -> None:
    """`cepo_cerebras|cepo`: OptiLLM answers 500 with what its own approach met, which ends ours with the connection.

    OptiLLM has no word to a plugin that its reply is not wanted any more; the client, who has its answer, leaves.
    """
    slow = SimulatorOptions(rules=(Rule(fault="hang"),))  # of calls that are not refused
    with Simulator(slow) as api, optillm("--base-url", api.url, environ=ENVIRON) as server:
        response = server.ask(by_body("cepo_cerebras|cepo") | SMALL)
        assert response.status_code == 500
        assert "reasoning_effort" in response.text
        assert set(quiet(api)) <= {400, CLIENT_GONE}
        assert len([call for call in api.chat_calls if "reasoning_effort" not in call.body]) <= 1


# What is refused, and by whom.


@pytest.mark.parametrize("approach", ["cepo_cerebras&re2", "re2&cepo_cerebras", "cepo_cerebras|re2"])
def test_what_we_refuse_keeps_its_status(server: Server, api: Simulator, approach: str) -> None:
    """A bad field of ours is a 400 with our error, at the door: no approach has made a call by then."""
    api.clear()
    response = server.ask(by_body(approach) | {"cepo_cerebras_bestofn": 1})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "cepo_cerebras_bestofn"
    assert api.chat_calls == ()


def test_a_model_that_the_api_does_not_list_fails_the_others(server: Server, api: Simulator) -> None:
    """Ours answers with the pinned one; re2 asks for what the client named, and OptiLLM makes a 500 of it."""
    api.clear()
    response = server.ask(by_body("cepo_cerebras&re2") | SMALL | {"model": "any"})
    assert response.status_code == 500
    assert [call.status for call in api.chat_calls] == [200] * OURS + [404]


@pytest.mark.parametrize("approach", ["none&cepo_cerebras", "cepo_cerebras|none"])
def test_none_is_no_approach_to_combine(server: Server, api: Simulator, approach: str) -> None:
    """By OptiLLM's own rule, which it answers 500; here it is the client's to mend."""
    api.clear()
    response = server.ask(by_body(approach) | SMALL)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "optillm_approach")
    assert api.chat_calls == ()


@pytest.mark.parametrize(("approach", "calls"), [("cepo_cerebras-re2", OURS), ("re2-cepo_cerebras", 1)])
def test_of_approaches_in_a_row_the_first_is_run(server: Server, api: Simulator, approach: str, calls: int) -> None:
    """Names with a dash between them are no combination: where ours is the first, the full reply is ours."""
    api.clear()
    body: Any = server.ask(by_model(approach) | SMALL).json()
    assert len(api.chat_calls) == calls
    assert ("cepo_cerebras" in body) == approach.startswith("cepo_cerebras")
