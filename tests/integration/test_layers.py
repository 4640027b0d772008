"""The two layers of the example backend, through a real sidecar."""

from __future__ import annotations

import re
from typing import Any

import pytest
from support import web
from support.backend import IDENTITY, LONG, House, body, events, told
from support.releasing import releasing
from support.waiting import until

pytestmark = pytest.mark.slow

QUESTION = "What is 6 times 7?"


def test_speed_is_one_call(house: House) -> None:
    """Of at most 2000 tokens, with the identity prompt as the system's; the reply is the sidecar's as it stands."""
    response = house.backend.ask(QUESTION)
    (call,) = house.api.chat_calls
    assert call.body["messages"] == [{"role": "system", "content": IDENTITY}, {"role": "user", "content": QUESTION}]
    assert call.body.get("max_completion_tokens", call.body.get("max_tokens")) == 2000
    assert response.status_code == 200
    assert response.headers["x-answered-by"] == "sidecar"
    reply = response.json()
    assert reply["choices"][0]["message"]["content"].startswith("The simulated answer is 42.")
    assert (reply["cepo_cerebras"]["effort"], reply["cepo_cerebras"]["calls"]) == ("none", 1)


def test_reasoning_plans(house: House) -> None:
    """CePO as the sidecar is configured: 24 calls, each with the identity prompt, and their usage in the reply."""
    reply = house.backend.ask(QUESTION, "reasoning").json()
    assert (reply["cepo_cerebras"]["effort"], reply["cepo_cerebras"]["planned"]) == ("medium", True)
    assert len(house.api.chat_calls) == reply["cepo_cerebras"]["calls"] == 24
    assert all(IDENTITY in call.body["messages"][0]["content"] for call in house.api.chat_calls)
    assert reply["usage"]["total_tokens"] == house.api.usage.total_tokens


def test_a_conversation_goes_on(house: House) -> None:
    """Earlier turns go with the question."""
    turns = [("user", "Hello."), ("assistant", "Hello!"), ("user", QUESTION)]
    messages = [{"role": role, "content": content} for role, content in turns]
    assert house.backend.ask("", messages=messages).status_code == 200
    (call,) = house.api.chat_calls
    assert call.body["messages"][1:] == messages


def test_a_stream_comes_through_while_the_answer_is_made(house: House) -> None:
    """The first words are here while the API still writes."""
    with house.backend.streaming("LONG") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-answered-by"] == "sidecar"
        lines = response.iter_lines()
        first = next(line for line in lines if '"content": "' in line and "Six" in line)
        assert house.api.in_flight == 1
        with releasing(house.api):
            rest = list(lines)
    chunks = events("\n".join([first, *rest]))
    pieces = told(chunks, "content")
    assert len(pieces) > 3
    assert "".join(pieces) == LONG
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert "data: [DONE]" in rest


def test_progress_comes_through_while_it_is_planned(house: House) -> None:
    """As reasoning, before the calls that follow; then the answer."""
    with house.backend.streaming(f"HELD {QUESTION}", "reasoning") as response:
        lines = response.iter_lines()
        until(lambda: house.api.held)
        house.api.release(1)
        first = next(line for line in lines if "reasoning_content" in line)
        assert len(house.api.chat_calls) < 24
        with releasing(house.api):
            chunks = events("\n".join([first, *lines]))
    assert len(told(chunks, "reasoning_content")) > 5
    assert "".join(told(chunks, "content")).startswith("The simulated answer is 42.")
    assert len(house.api.chat_calls) == 24


def test_a_request_has_one_name_everywhere(house: House) -> None:
    """In the reply and in both logs: the client's, or a new one where that is none."""
    with house.backend.streaming(QUESTION) as response:
        given = response.headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", given)
    url = f"{house.backend.server.url}/chat"
    response = web.post(url, headers={"x-request-id": "order-66"}, **body(QUESTION))
    assert response.headers["x-request-id"] == "order-66"
    for server in (house.backend.server, house.sidecar):
        until(lambda of=server: "order-66" in of.log, lambda of=server: of.log)  # type: ignore[misc]
    assert web.post(url, headers={"x-request-id": "a b"}, **body(QUESTION)).headers["x-request-id"] != "a b"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"layer": "planted-layer"}, "layer"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "system", "content": "planted-system"}]}, "messages.0.role"),
        ({"model": "planted-model"}, "model"),
    ],
)
def test_a_body_that_is_no_question(house: House, wrong: dict[str, Any], param: str) -> None:
    """400 in OpenAI's shape, with the field and without its value; nobody is asked."""
    response = house.backend.ask(QUESTION, **wrong)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert "planted" not in response.text
    assert house.api.chat_calls == ()
