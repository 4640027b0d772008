"""The plugin in OptiLLM's application: replies for each way to call it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import optillm.server as server
import pytest
from conftest import KEY
from pytest_mock import MockerFixture

from optillm_cerebras_cepo.host import plugin
from optillm_cerebras_cepo.host.plugin import UncutAnswer
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
SPEECH = "User: asks this.\nAssistant: says that."


def content(response: Any, choice: int = 0) -> str:
    """Return the text of a choice."""
    text = response.get_json()["choices"][choice]["message"]["content"]
    assert isinstance(text, str)
    return text


# Replies.


def test_a_full_reply(ask: Any, api: Simulator) -> None:
    """A chat.completion with OpenAI's fields and ours; the usage is the API's own count."""
    body = ask().get_json()
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    assert body["created"] > 1_700_000_000
    assert body["model"] == "llama-3.3-70b"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["choices"][0]["message"]["role"] == "assistant"
    assert body["usage"] == {
        "prompt_tokens": api.usage.prompt_tokens,
        "completion_tokens": api.usage.completion_tokens,
        "total_tokens": api.usage.prompt_tokens + api.usage.completion_tokens,
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    ours = body["cepo_cerebras"]
    assert (ours["effort"], ours["model"], ours["calls"]) == ("medium", "llama-3.3-70b", 24)
    assert {step: spent["calls"] for step, spent in ours["usage"].items()} == {
        "plan": 9,
        "execute": 9,
        "review": 3,
        "final": 3,
    }
    assert sum(spent["prompt_tokens"] for spent in ours["usage"].values()) == api.usage.prompt_tokens
    assert sum(spent["cost"] for spent in ours["usage"].values()) == pytest.approx(ours["cost"])
    assert ours["candidates"][0] == {"candidate": 1, "rating": None, "chosen": True}
    assert (ours["degraded"], ours["fitted"], ours["agreement"], ours["uncounted"]) == ([], [], 1.0, 0)
    assert ours["seconds"] >= 0


def test_a_reply_names_its_judge_if_it_is_another_model(ask: Any) -> None:
    """Of another family than the one that answers; else the field is left out."""
    judged = {"cepo_cerebras_rating_model": "auto"}
    names = [ask(**SMALL, **other).get_json()["cepo_cerebras"].get("rating_model") for other in ({}, judged)]
    assert names == [None, "qwen-3-235b-a22b-instruct-2507"]


def test_a_wish_for_reasoning_is_answered_and_never_sent(ask: Any, api: Simulator) -> None:
    """OptiLLM's own approach fails on this request. The simulated replies have no approaches, in two calls for them."""
    response = ask(reasoning_effort="high")
    assert response.status_code == 200
    assert response.get_json()["cepo_cerebras"]["effort"] == "high"
    assert len(api.chat_calls) == 40 + 2
    assert not [call for call in api.chat_calls if "reasoning_effort" in call.body]


@pytest.mark.parametrize(
    "how",
    [
        {"model": "cepo_cerebras-llama3.3-70b"},
        {"optillm_approach": "cepo_cerebras"},
        {"question": "<optillm_approach>cepo_cerebras</optillm_approach>Why?"},
    ],
)
def test_it_is_chosen_by_model_name_field_and_tag(serve: Any, api: Simulator, how: dict[str, Any]) -> None:
    """On a server with another default."""
    ask = serve(api.url, "auto")
    assert ask(**SMALL, **how).get_json()["cepo_cerebras"]["calls"] == 4
    assert "optillm_approach" not in str(api.chat_calls)


def test_requests_for_other_approaches_are_not_changed(serve: Any, api: Simulator) -> None:
    """Our hooks validate our own requests only."""
    ask = serve(api.url, "none")
    assert "cepo_cerebras" not in ask(model="llama-3.3-70b").get_json()
    for model in ("llama-3.3-70b", "cepo_cerebras-llama-3.3-70b"):  # OptiLLM runs the server's own first
        assert "n must be" not in ask(model=model, n=0).get_data(as_text=True)


@pytest.mark.parametrize("effort", ["medium", "none"])
def test_an_answer_with_speaker_marks_is_not_cut(serve: Any, simulate: Callable[..., Simulator], effort: str) -> None:
    """OptiLLM cuts strings at the last `User:` or `Assistant:`."""
    ask = serve(simulate(rules=(Rule(text=SPEECH),)).url)
    assert content(ask(cepo_cerebras_effort=effort)) == SPEECH


def test_answers_are_not_cut_with_n_and_in_combinations(serve: Any, simulate: Callable[..., Simulator]) -> None:
    """Where OptiLLM expects plain strings."""
    api = simulate(rules=(Rule(text=SPEECH),))
    ask = serve(api.url)
    several = ask(n=2, **SMALL)
    assert [content(several, 0), content(several, 1)] == [SPEECH, SPEECH]
    assert several.get_json()["usage"]["completion_tokens"] == api.usage.completion_tokens
    either = serve(api.url, "auto")(model="cepo_cerebras|cepo_cerebras-m", **SMALL)
    assert [content(either, 0), content(either, 1)] == [SPEECH, SPEECH]
    both = serve(api.url, "auto")(model="cepo_cerebras&cepo_cerebras-m", **SMALL)
    assert content(both) == SPEECH


def test_outside_of_a_request_the_reply_is_a_string(
    serve: Any, simulate: Callable[..., Simulator], mocker: MockerFixture
) -> None:
    """OptiLLM's batch mode runs plugins on another thread and expects text."""
    api = simulate()
    serve(api.url)
    client, _ = server.get_config()
    answer, tokens = plugin.run("Be brief.", "User: Why?", client, "m", {"n": 1} | SMALL)
    assert isinstance(answer, UncutAnswer)
    assert tokens == api.usage.completion_tokens
    assert api.chat_calls[0].body["messages"][0] == {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("approach", "answers", "conversations"),
    [
        ("cepo_cerebras&echo&cepo_cerebras", 1, [True, False]),
        ("cepo_cerebras&echo&cepo_cerebras", 2, [True, False, True, False]),
        ("echo&cepo_cerebras", 2, [False, False]),
        ("cepo_cerebras|echo|cepo_cerebras", 1, [True, True]),
        ("cepo_cerebras", 1, [True]),
    ],
)
def test_which_calls_of_ours_answer_the_conversation(
    serve: Any,
    api: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    approach: str,
    answers: int,
    conversations: list[bool],
) -> None:
    """In an AND combination only the first approach, in each of its runs, even if another returns the same text."""
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}]
    serve(api.url, "auto")
    echoed = "User: Hello\nAssistant: Hi\nUser: Why?"  # as OptiLLM writes the conversation
    monkeypatch.setitem(server.plugin_approaches, "echo", lambda *_: (UncutAnswer(echoed), 0))
    messages = [*turns, {"role": "user", "content": "Why?"}]
    body = {"messages": messages, "optillm_approach": approach, "n": answers, "cepo_cerebras_effort": "none"}
    assert server.app.test_client().post("/v1/chat/completions", json={"model": "m"} | body).status_code == 200
    assert [call.body["messages"][:-1] == turns for call in api.chat_calls] == conversations


@pytest.mark.parametrize("combination", ["cepo_cerebras", "cepo_cerebras|cepo_cerebras", "cepo_cerebras&cepo_cerebras"])
def test_earlier_turns_reach_the_model_as_turns(serve: Any, api: Simulator, combination: str) -> None:
    """Alone and in combinations, and never as one text."""
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "system", "content": "From now on in French."},
        {"role": "user", "content": "Why?"},
    ]
    serve(api.url, "auto")(None, messages=turns, model=f"{combination}-m", **SMALL)
    first = next(call for call in api.chat_calls if len(call.body["messages"]) == 5)
    assert first.body["messages"][:4] == turns[:4]
    assert "Assistant: Hi" not in str([call.body for call in api.chat_calls[:4]])


def test_settings_of_a_request_change_no_other_request(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment applies to all."""
    monkeypatch.setenv("CEPO_CEREBRAS_BESTOFN_N", "2")
    assert ask(**SMALL).get_json()["cepo_cerebras"]["calls"] == 4
    assert len(ask().get_json()["cepo_cerebras"]["candidates"]) == 2


def test_a_direct_call_obeys_the_clients_limit(ask: Any, api: Simulator) -> None:
    """2000 tokens without one; `max_completion_tokens` takes precedence."""
    for limits in ({}, {"max_tokens": 7}, {"max_tokens": 7, "max_completion_tokens": 9}):
        ask(cepo_cerebras_effort="none", **limits)
    assert [call.body["max_completion_tokens"] for call in api.chat_calls] == [2000, 7, 9]


def test_no_key_and_no_prompt_in_the_log(
    serve: Any, simulate: Callable[..., Simulator], caplog: pytest.LogCaptureFixture
) -> None:
    """For answers and failures of all kinds, down to INFO (OptiLLM itself logs requests at DEBUG)."""
    quoting = {"message": f"the secret prompt {KEY}", "type": "t", "param": "the secret prompt", "code": "c"}
    for status in (200, 400, 401, 404, 429, 500):
        rules = (Rule(reply=Reply(status, quoting, {"retry-after": "3600"})),) if status != 200 else ()
        with caplog.at_level(logging.INFO):
            ask = serve(simulate(rules=rules).url)
            response = ask("the secret prompt", cepo_cerebras_call_attempts=1, **SMALL)
        assert (response.status_code == 200) is (status == 200)
        assert "the secret prompt" not in response.get_data(as_text=True)
    assert "the secret prompt" not in caplog.text
    assert KEY not in caplog.text


def test_progress_is_logged_call_by_call(ask: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One line each, with the step, the tokens and the duration."""
    with caplog.at_level(logging.INFO):
        ask(**SMALL)
    lines = [record.message for record in caplog.records if record.name == "optillm_cerebras_cepo.progress"]
    assert [line.split(":")[1].strip() for line in lines] == [
        "candidate 1 plan",
        "candidate 1 execute",
        "candidate 1 review",
        "candidate 1 final",
    ]
    assert all(re.search(r": 7 tokens in \d+\.\d s$", line) for line in lines)


def test_reasoning_tokens_are_reported_in_openais_format(serve: Any, simulate: Callable[..., Simulator]) -> None:
    """The API's counts of all calls; they are part of the completion tokens."""
    api = simulate(rules=(Rule(text="42", reasoning="six times seven " * 5),))
    body = serve(api.url)(cepo_cerebras_model="gpt-oss-120b", **SMALL).get_json()
    details = body["usage"]["completion_tokens_details"]
    assert 0 < details["reasoning_tokens"] < body["usage"]["completion_tokens"] == api.usage.completion_tokens
    assert details["reasoning_tokens"] % 4 == 0
