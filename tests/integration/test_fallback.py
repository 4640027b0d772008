"""When the example backend asks Cerebras itself, and when it does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import ExitStack
from typing import Any

import pytest
from aiohttp.web import Request, Response
from support.backend import DIRECT, FOLDER, IDENTITY, QUESTIONS, House, backend, environment, events, sidecar, told
from support.gateway import background
from support.waiting import PATIENCE

from optillm_cerebras_cepo.simulator import Rule, Simulator, SimulatorOptions, problems

pytestmark = pytest.mark.slow

QUESTION = "What is 6 times 7?"


FOREVER = "1000000"  # seconds


@pytest.mark.parametrize("layer", ["speed", "reasoning"])
def test_a_sidecar_that_fails(house: House, layer: str) -> None:
    """It answers 503, for its API does: one direct call in either layer, with the same words and the model's own id."""
    response = house.backend.ask("FAILING", layer)
    assert (response.status_code, response.headers["x-answered-by"]) == (200, "cerebras")
    assert response.json()["choices"][0]["message"]["content"] == DIRECT
    (call,) = house.direct.chat_calls
    most = {"speed": 2000, "reasoning": 4096}[layer]
    assert (call.body["model"], call.body["max_completion_tokens"]) == ("llama-3.3-70b", most)
    assert call.body["messages"] == [{"role": "system", "content": IDENTITY}, {"role": "user", "content": "FAILING"}]
    assert house.api.chat_calls


def test_a_stream_that_broke_is_not_begun_again(house: House) -> None:
    """Part of the answer has been read: what follows is an error, and no direct call."""
    with house.backend.streaming("CUT") as response:
        assert response.headers["x-answered-by"] == "sidecar"
        chunks = events(response.read().decode())
    assert told(chunks, "content")
    assert chunks[-1]["error"]["code"] == "stream_broken"
    assert house.direct.chat_calls == ()


def test_a_refusal_is_passed_on(house: House) -> None:
    """A 400 is the question's fault: the sidecar's words and status, no direct call, and no failure is counted."""
    messages = [{"role": "user", "content": f"{QUESTION} planted-word"}, {"role": "user", "content": ""}]
    for _ in range(6):
        response = house.backend.ask("", messages=messages)
        assert (response.status_code, response.headers["x-answered-by"]) == (400, "sidecar")
        assert response.json()["error"]["param"] == "messages[2].content"
    assert house.direct.chat_calls == ()
    assert house.backend.state["circuit"] == "closed"


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [("QUOTED", 400, "wrong_api_format"), ("GATEWAY", 400, "wrong_api_format"), ("PAGE", 403, None)],
)
def test_a_direct_call_that_is_refused_too(house: House, word: str, status: int, code: str | None) -> None:
    """Its status and code; the words, which may quote the question, stay here."""
    response = house.backend.ask(f"FAILING {word}")
    assert (response.status_code, response.headers["x-answered-by"]) == (status, "cerebras")
    assert response.json()["error"]["code"] == code
    assert "planted" not in response.text


def test_a_stream_that_takes_too_long(house: House) -> None:
    """Of the speed layer: the sidecar is told when to end it, for it keeps saying that it works; its error is the end.

    The sidecar here is one that has just given up.
    """
    asked: list[Any] = []

    async def chat(request: Request) -> Response:
        asked.append(await request.json())
        error = {"error": {"message": "no answer within 120 s", "code": "deadline_exceeded"}}
        return Response(text=f": working\n\ndata: {json.dumps(error)}\n\n", content_type="text/event-stream")

    with (
        background({("POST", QUESTIONS): chat}) as url,
        backend(url, house.direct.url) as example,
        example.streaming(QUESTION) as response,
    ):
        chunks = events(response.read().decode())
    assert [chunk["error"]["code"] for chunk in chunks] == ["deadline_exceeded"]
    assert (asked[0]["cepo_cerebras_effort"], asked[0]["cepo_cerebras_deadline"]) == ("none", PATIENCE)
    assert house.direct.chat_calls == ()


def test_the_circuit(house: House) -> None:
    """Two failures open it, a time-out among them; nobody asks the sidecar while it is open.

    A client that leaves between the two does not make them forgotten.
    """
    wary = {"REASONING_TIMEOUT": "0.5", "CIRCUIT_FAILURES": "2", "CIRCUIT_SECONDS": FOREVER}
    with backend(house.sidecar.url, house.direct.url, **wary) as example:
        assert example.ask("FAILING").headers["x-answered-by"] == "cerebras"
        house.clear()
        example.leave("SLOW", "speed", stream=False, when=lambda: house.api.in_flight > 0)
        house.settle()
        assert example.state["circuit"] == "closed"
        before = house.questions
        assert example.ask("SLOW", "reasoning").headers["x-answered-by"] == "cerebras"
        after = house.questions
        assert after <= before + 1  # nobody tried it again
        assert example.state["circuit"] == "open"
        house.clear()
        with example.streaming(QUESTION) as response:
            assert response.headers["x-answered-by"] == "cerebras"
            assert "".join(told(events(response.read().decode()), "content")) == DIRECT
        assert house.questions == after
        assert house.api.chat_calls == ()


HALF_OPEN = """
import circuitbreaker
from app.circuit import Circuit
from app.failures import Failed

now = [0.0]
circuitbreaker.monotonic = lambda: now[0]
circuit = Circuit(failures=2, seconds=30)

def ask(fails):
    try:
        with circuit:
            if fails:
                raise Failed("sidecar", 503, {})
    except Failed:
        pass
    print(circuit.state)

ask(True), ask(True)
now[0] = 31
print(circuit.state)
ask(True)
now[0] = 60
print(circuit.state)
now[0] = 62
print(circuit.state)
ask(False)
"""


def test_the_circuit_closes_again() -> None:
    """After its time one question tries: one that fails is enough to leave the sidecar alone anew, an answer closes."""
    done = subprocess.run(
        [environment() / ".venv/bin/python", "-c", HALF_OPEN], cwd=FOLDER, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["closed", "open", "half_open", "open", "open", "half_open", "closed"]


def test_a_sidecar_that_is_not_ready(house: House) -> None:
    """Alive, without a key: it is never asked a question."""
    with sidecar(house.api.url, CEREBRAS_API_KEY="") as server, backend(server.url, house.direct.url) as example:
        example.until(sidecar="not ready")
        assert example.ask(QUESTION).headers["x-answered-by"] == "cerebras"
        assert "/v1/chat/completions" not in server.log


def test_a_sidecar_that_dies(house: House) -> None:
    """In the middle of a stream: an error. Then nobody picks up, which is found out by asking: direct answers."""
    seldom = {"READY_SECONDS": FOREVER, "CIRCUIT_FAILURES": "2", "CIRCUIT_SECONDS": FOREVER}
    with sidecar(house.api.url) as server, backend(server.url, house.direct.url, **seldom) as example:
        with example.streaming("SLOW", "reasoning") as response:
            lines = response.iter_lines()
            assert "assistant" in next(lines)
            os.kill(server.pid, signal.SIGKILL)
            (end,) = events("\n".join(lines))
        assert end["error"]["code"] == "broken"
        assert house.direct.chat_calls == ()
        assert example.ask(QUESTION).headers["x-answered-by"] == "cerebras"
        assert example.state == {"status": "ok", "sidecar": "ready", "circuit": "open"}  # two failures: both count


def test_a_limit_is_passed_on_and_a_sidecar_that_stops_is_seen(house: House) -> None:
    """A 429 is the account's: with the sidecar's status and advice, no direct call, and no failure is counted.

    Once the sidecar has stopped, its /ready says it before any question does.
    """
    options = SimulatorOptions(rules=(Rule(reply=problems.token_quota_exceeded("day")),))
    with Simulator(options) as api, ExitStack() as longer:
        with sidecar(api.url) as server:
            example = longer.enter_context(backend(server.url, house.direct.url, CIRCUIT_FAILURES="1"))
            response = example.ask(QUESTION)
            assert (response.status_code, response.headers["x-answered-by"]) == (429, "sidecar")
            assert response.json()["error"]["code"] == "quota_exhausted"
            assert response.headers["x-should-retry"] == "false"
            assert house.direct.chat_calls == ()
        example.until(sidecar="not ready", circuit="closed")
        assert example.ask(QUESTION).headers["x-answered-by"] == "cerebras"
        assert example.state["circuit"] == "closed"
