"""Which calls of a request get the parameters that a client sends."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.call_log import Call
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
LONG = "word " * 400


def having(calls: Sequence[Call], name: str) -> list[bool]:
    """Which of the calls carry a field."""
    return [name in call.body for call in calls]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stop", ["END"]),
        ("frequency_penalty", 0.5),
        ("presence_penalty", -0.5),
        ("logit_bias", {"50256": -5}),
        ("response_format", {"type": "json_object"}),
    ],
)
def test_it_shapes_the_call_that_writes_the_answer(serve: Any, simulate: Simulate, name: str, value: Any) -> None:
    """Plan, execution and review are called without it."""
    api = simulate(rules=(Rule(text='{"answer": 42}'),))
    assert serve(api.url)(**{name: value}, **SMALL).status_code == 200
    assert having(api.chat_calls, name) == [False, False, False, True]
    assert api.chat_calls[-1].body[name] == value


@pytest.mark.parametrize(("name", "value"), [("temperature", 1.5), ("top_p", 0.25)])
def test_it_takes_the_place_of_the_steps_own(ask: Any, api: Simulator, name: str, value: float) -> None:
    """In the last call only."""
    ask(**{name: value}, **SMALL)
    assert [call.body[name] == value for call in api.chat_calls] == [False, False, False, True]


def test_it_shapes_a_direct_answer_too(ask: Any, api: Simulator) -> None:
    """In its only call."""
    ask(cepo_cerebras_effort="none", temperature=1.5, top_p=0.25, stop="END", seed=7, user="u")
    (call,) = api.chat_calls
    sent = {name: call.body[name] for name in ("temperature", "top_p", "stop", "seed", "user")}
    assert sent == {"temperature": 1.5, "top_p": 0.25, "stop": ["END"], "seed": 7, "user": "u"}


def test_the_user_is_named_in_every_call(ask: Any, api: Simulator) -> None:
    """It says for whom the calls are made, which holds for plans as well."""
    ask(user="u-1", **SMALL)
    assert [call.body["user"] for call in api.chat_calls] == ["u-1"] * 4


def test_a_cut_at_the_clients_own_limit_is_its_answer(serve: Any, simulate: Simulate) -> None:
    """It is not rejected in favour of the review. The other calls keep their own limits."""
    api = simulate(rules=(Rule(text=LONG),))
    for again in range(2):
        choice = serve(api.url)(max_completion_tokens=20, **SMALL).get_json()["choices"][0]
        assert choice["finish_reason"] == "length"
        assert 0 < len(choice["message"]["content"]) < 200
        assert [call.body["max_completion_tokens"] for call in api.chat_calls[4 * again :]] == [4096, 4096, 4096, 20]


def test_a_seed_makes_every_call_repeatable_and_none_the_same(ask: Any, api: Simulator) -> None:
    """Equal prompts of one request get different seeds: they are separate samples."""
    seeds = []
    for _ in range(2):
        ask(seed=11)
        calls = [(json.dumps(call.body["messages"][:2]), call.body["seed"]) for call in api.chat_calls[-24:]]
        assert len(set(calls)) == 24
        seeds.append(sorted(seed for _, seed in calls))
    assert seeds[0] == seeds[1]
    ask(**SMALL)
    assert having(api.chat_calls[-4:], "seed") == [False] * 4


# Several answers.


@pytest.mark.parametrize(("effort", "calls"), [("none", 3), ("low", 21), ("auto", 27), ("medium", 27)])
def test_several_answers_are_one_run(serve: Any, simulate: Simulate, effort: str, calls: int) -> None:
    """Of different candidates, best first; OptiLLM would run everything three times."""
    texts = tuple(f"The answer is {number}. Rating: [[0.{number % 7}]]" for number in range(100))
    api = simulate(rules=(Rule(text=texts),))
    body = serve(api.url)(n=3, cepo_cerebras_effort=effort).get_json()
    assert len({choice["message"]["content"] for choice in body["choices"]}) == 3
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert body["cepo_cerebras"]["calls"] == len(api.chat_calls) == calls
    assert body["usage"]["total_tokens"] == api.usage.total_tokens
    if effort == "medium":
        ratings = {one["candidate"]: one["rating"] for one in body["cepo_cerebras"]["candidates"]}
        chosen = [one["candidate"] for one in body["cepo_cerebras"]["candidates"] if one["chosen"]]
        assert ratings[chosen[0]] == max(ratings.values())


def test_missing_answers_are_listed_in_the_reply(serve: Any, simulate: Simulate) -> None:
    """With the reason why the call has failed."""
    for flaw in (Rule(times=1, fault="empty_content"), Rule(times=1, reply=Reply(400, {"message": "?"}))):
        api = simulate(rules=(flaw, Rule(text="42")))
        body = serve(api.url)(n=3, cepo_cerebras_effort="none", cepo_cerebras_call_attempts=1).get_json()
        assert len(body["choices"]) == 2
        assert "left out" in body["cepo_cerebras"]["degraded"][0]


def test_the_operators_cap_on_candidates_limits_n(ask: Any, api: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer needs a candidate."""
    monkeypatch.setenv("CEPO_CEREBRAS_MAX_BESTOFN_N", "3")
    assert ask(n=4, **SMALL).get_json()["error"]["param"] == "n"
    assert api.chat_calls == ()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"temperature": 3}, "temperature"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tools": "all"}, "tools"),
        ({"n": 9}, "n"),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(ask: Any, api: Simulator, body: dict[str, Any], param: str) -> None:
    """400 with the field, before any call, and clients are told not to retry."""
    response = ask(**body)
    assert (response.status_code, response.get_json()["error"]["param"]) == (400, param)
    assert response.headers["x-should-retry"] == "false"
    assert api.chat_calls == ()


def test_values_that_ask_for_nothing_are_ignored(ask: Any, api: Simulator) -> None:
    """All of them at once; none is sent to the API."""
    nothing = {
        **{"n": 1, "stop": [], "logit_bias": {}, "user": "", "stream_options": {}, "logprobs": False},
        **{"top_logprobs": 0, "modalities": ["text"], "functions": [], "function_call": "none"},
        **{"tools": [], "tool_choice": "auto", "audio": None},
    }
    assert ask(**nothing, **SMALL).status_code == 200
    assert [name for name in nothing for call in api.chat_calls if name in call.body] == []


def test_nulls_are_ignored(ask: Any, api: Simulator) -> None:
    """OptiLLM alone would fail on some of them."""
    names = ("n", "max_tokens", "stream", "temperature", "stop", "tools", "tool_choice", "response_format", "seed")
    assert ask(model=None, **dict.fromkeys(names), **SMALL).status_code == 200
    assert len(api.chat_calls) == 4
