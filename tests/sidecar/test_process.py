"""The sidecar as a process, as its clients, its operator and its log see it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from cerebras.cloud.sdk import Cerebras
from support import web
from support.optillm_process import Server
from support.sidecar_process import sidecar
from support.waiting import until
from support.wire import Wire, request

from optillm_cerebras_cepo.llm.hedging import KNOWN
from optillm_cerebras_cepo.simulator.answers import DEFAULT_TEXT, Rule
from optillm_cerebras_cepo.simulator.options import SimulatorOptions
from optillm_cerebras_cepo.simulator.server import Simulator

KEY = "csk-0123456789abcdef"
ASK = {"model": "llama3.3-70b", "messages": [{"role": "user", "content": "What is 12 times 7?"}]}


@pytest.fixture(scope="module")
def api() -> Iterator[Simulator]:
    """A simulated API for tests that only send requests."""
    with Simulator(SimulatorOptions()) as running:
        yield running


@pytest.fixture(scope="module")
def server(api: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A sidecar whose key is in a file."""
    secret = tmp_path_factory.mktemp("secrets") / "key"
    secret.write_text(f"{KEY}\n")
    with sidecar(environ={"CEREBRAS_API_KEY_FILE": str(secret), "CEREBRAS_BASE_URL": api.url}) as running:
        until(lambda: web.get(f"{running.url}/ready").status_code == 200)
        yield running


def logged(server: Server, **fields: object) -> dict[str, Any]:
    """Return the log line with these fields, as soon as it is written."""

    def matching() -> dict[str, Any] | None:
        lines = (json.loads(line) for line in list(server.lines))
        return next((line for line in lines if fields.items() <= line.items()), None)

    found = until(matching)
    assert found
    return found


def test_a_planned_answer(server: Server) -> None:
    """27 calls with ratings, and the whole object. The simulated answer is plain, and its ratings are ratings."""
    reply = server.ask(ASK | {"cepo_cerebras_rate_always": True})
    assert reply.status_code == 200
    details = reply.json()["cepo_cerebras"]
    assert details["calls"] == 27
    assert [candidate["rating"] for candidate in details["candidates"] if candidate["rating"] is None] == []
    assert reply.json()["choices"][0]["message"]["content"] == DEFAULT_TEXT


@pytest.mark.parametrize("how", [{"model": "none-llama3.3-70b"}, {"optillm_approach": "none"}])
def test_a_direct_answer(server: Server, api: Simulator, how: dict[str, Any]) -> None:
    """One call of the pinned model, with the client's token limit."""
    before = len(api.chat_calls)
    reply = server.ask({**ASK, **how, "max_tokens": 2000})
    assert reply.json()["cepo_cerebras"]["effort"] == "none"
    (call,) = api.chat_calls[before:]
    assert (call.body["model"], call.body["max_completion_tokens"]) == ("llama-3.3-70b", 2000)


def test_none_with_another_effort_is_refused(server: Server) -> None:
    """They contradict each other."""
    reply = server.ask({**ASK, "model": "none-llama3.3-70b", "cepo_cerebras_effort": "high"})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "cepo_cerebras_effort")


def test_a_stream(server: Server) -> None:
    """Progress, the answer, [DONE]."""
    with web.stream("POST", f"{server.url}/v1/chat/completions", json={**ASK, "stream": True}) as reply:
        lines = [line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: ")]
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
    assert lines[-1] == "[DONE]"
    assert any("reasoning_content" in delta for delta in deltas)
    assert any(delta.get("content") for delta in deltas)


def test_the_request_id_is_everywhere(server: Server) -> None:
    """In the reply, in the access log, and in each line about the request's calls."""
    reply = web.post(f"{server.url}/v1/chat/completions", json=ASK, headers={"x-request-id": "mine-1"})
    assert reply.headers["x-request-id"] == "mine-1"
    line = logged(server, request_id="mine-1", logger="optillm_cerebras_cepo.access")
    assert {name: line[name] for name in ("method", "path", "status", "calls", "approach", "effort", "model")} == {
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "calls": 24,
        "approach": "cepo_cerebras",
        "effort": "medium",
        "model": "llama-3.3-70b",
    }
    assert line["bytes"] == len(reply.content)
    assert logged(server, request_id="mine-1", logger="optillm_cerebras_cepo.progress")


def test_the_cost_is_in_the_reply_its_header_the_log_and_the_metrics(server: Server) -> None:
    """The same everywhere."""
    reply = web.post(f"{server.url}/v1/chat/completions", json=ASK, headers={"x-request-id": "costly-1"})
    cost = reply.json()["cepo_cerebras"]["cost"]
    assert cost > 0
    assert float(reply.headers["x-cepo-cerebras-cost"]) == cost
    assert logged(server, request_id="costly-1", logger="optillm_cerebras_cepo.access")["cost"] == cost
    counted = web.get(f"{server.url}/metrics").text
    (total,) = re.findall(r'^cepo_cerebras_cost_dollars_total{effort="medium"} (\S+)$', counted, re.MULTILINE)
    assert float(total) >= cost


def test_successful_probes_are_not_logged(server: Server) -> None:
    """Failed ones are."""
    for path in ("/health", "/ready", "/metrics"):
        assert web.get(f"{server.url}{path}").status_code == 200
    assert web.post(f"{server.url}/ready").status_code == 405
    logged(server, path="/ready", status=405)
    lines = [json.loads(line) for line in list(server.lines)]
    assert not [line for line in lines if line.get("path") in ("/health", "/metrics")]


@pytest.mark.parametrize("ending", ["", "/v1"])
def test_the_cerebras_sdk_with_either_base_url(server: Server, ending: str) -> None:
    """It adds /v1 to the base URL, and asks for /v1/tcp_warming when it is made, which leaves no line in the log."""
    before = len(server.lines)
    client = Cerebras(base_url=server.url + ending, api_key="any", default_headers={"x-request-id": f"sdk{ending}"})
    messages: Any = ASK["messages"]
    reply: Any = client.chat.completions.create(
        model="llama3.3-70b", messages=messages, extra_body={"cepo_cerebras_effort": "none"}
    )
    assert reply.choices[0].message.content
    assert client.get("/v1/tcp_warming", cast_to=httpx.Response).status_code == 200
    logged(server, path="/v1/chat/completions", request_id=f"sdk{ending}")
    assert not [line for line in server.lines[before:] if "tcp_warming" in line]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses",
        "/v1/messages",
        "/v1/completions",
        "/v1/embeddings",
        "/chat/completions",
        "/v1/v1/v1/models",
        "/",
    ],
)
def test_another_path_is_told_the_right_one(server: Server, path: str) -> None:
    """With the base URL as the client spells the server's address."""
    reply = web.post(server.url + path, json=ASK, headers={"host": "sidecar.example:81"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_path")
    told = reply.json()["error"]["message"]
    assert "POST /v1/chat/completions" in told
    assert "http://sidecar.example:81/v1" in told


@pytest.mark.parametrize("host", ["x/y", "a b", "user@evil", "a:b", "a:123456", "[::1", "<b>", "a" * 300])
def test_an_invalid_host_header_is_not_repeated(server: Server, host: str) -> None:
    """It may be any text."""
    reply = web.post(f"{server.url}/v1/responses", json=ASK, headers={"host": host})
    assert reply.status_code in (400, 404)
    assert "http:" not in reply.text


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("GET", "/v1/chat/completions", "Method GET is not allowed for /v1/chat/completions; use POST."),
        ("GET", "/v1/v1/chat/completions", "Method GET is not allowed for /v1/chat/completions; use POST."),
        ("DELETE", "/v1/models/x", "Method DELETE is not allowed for /v1/models/MODEL; use GET or HEAD."),
        ("X-Y", "/health", "This method is not allowed for /health; use GET or HEAD."),
    ],
)
def test_another_method_is_told_the_right_one(server: Server, method: str, path: str, words: str) -> None:
    """In the message and in the Allow header."""
    reply = web.request(method, server.url + path)
    assert reply.status_code == 405
    assert reply.json()["error"]["message"] == words


def test_every_line_of_the_log_is_json(server: Server) -> None:
    """Also those of OptiLLM's start."""
    web.get(f"{server.url}/nothing-here")
    logged(server, path="/nothing-here", status=404)
    assert all({"time", "level", "logger", "message"} <= json.loads(line).keys() for line in server.lines)


def test_every_listed_model_answers(server: Server) -> None:
    """Under its listed id."""
    page = web.get(f"{server.url}/v1/models").json()
    names = [model["id"] for model in page["data"]]
    assert "cepo_cerebras-llama3.3-70b" in names
    for name in names:
        assert server.ask({**ASK, "model": name}).json()["model"] == "llama-3.3-70b"
        assert web.get(f"{server.url}/v1/models/{name}").json()["id"] == name
    missing = web.get(f"{server.url}/v1/models/gpt-9")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_metrics_count_requests(server: Server) -> None:
    """Calls by step and status, tokens, requests by effort."""
    server.ask(ASK | {"cepo_cerebras_rate_always": True})
    page = web.get(f"{server.url}/metrics").text
    assert 'cepo_cerebras_calls_total{status="200",step="plan"} ' in page
    assert 'cepo_cerebras_tokens_total{kind="completion",step="rating"} ' in page
    assert 'path="/v1/chat/completions",status="200"} ' in page


def test_a_late_call_is_made_twice(simulate: Callable[..., Simulator]) -> None:
    """The reply and the metrics tell of it, and no warning. The calls before have shown how long one takes."""
    api = simulate(rules=(Rule(pattern="held", times=1, held=True),))
    environ = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api.url, "CEPO_CEREBRAS_RPM": "1000000"}
    with sidecar(environ=environ | {"CEPO_CEREBRAS_HEDGED_CALLS": "true"}) as server:

        def direct(text: str) -> dict[str, Any]:
            body = {"model": "none-llama3.3-70b", "messages": [{"role": "user", "content": text}]}
            details: dict[str, Any] = server.ask(body).json()["cepo_cerebras"]
            return details

        assert {direct(f"question {number}")["hedged"] for number in range(KNOWN)} == {0}
        details = direct("this one is held")
        assert (details["calls"], details["hedged"]) == (2, 1)
        page = web.get(f"{server.url}/metrics").text
        assert 'cepo_cerebras_hedged_calls_total{step="direct"} 1.0' in page
        assert 'cepo_cerebras_calls_total{status="499",step="direct"} 1.0' in page
        logged(server, message="request", calls=2)  # the last line of the request
        warned = [line for line in map(json.loads, server.lines) if line["level"] == "WARNING"]
        assert warned == []


def test_a_refused_request_has_its_error_in_the_log(server: Server) -> None:
    """Before any call, so that nothing else says why."""
    web.post(f"{server.url}/v1/chat/completions", json={**ASK, "n": 0}, headers={"x-request-id": "refused-1"})
    line = logged(server, request_id="refused-1", message="request")
    assert (line["status"], line["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_hangs_up(simulate: Callable[..., Simulator], stream: bool) -> None:
    """No further call starts; the log and the metrics have status 499, and the log what was spent."""
    hang = Rule(fault="hang")
    api = simulate(rules=(replace(hang, pattern="execute the above plan"), Rule(times=2, text="a plan"), hang))
    environ = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api.url, "CEPO_CEREBRAS_BESTOFN_N": "1"}
    with sidecar(environ=environ) as server:
        with Wire(server.url) as wire:
            wire.send(request(body=json.dumps({**ASK, "stream": stream}).encode()))
            until(lambda: len(api.stalled) == 3)  # a plan, and the execution of the other two
        line = logged(server, path="/v1/chat/completions", message="request")
        told = {name: line.get(name) for name in ("status", "hung_up", "error", "calls", "completion_tokens")}
        tokens = api.usage.completion_tokens
        assert told == {"status": 499, "hung_up": True, "error": "ended", "calls": 5, "completion_tokens": tokens}
        counted = 'effort="medium",path="/v1/chat/completions",status="499"} 1.0'
        assert counted in web.get(f"{server.url}/metrics").text
        assert len(api.chat_calls) == 5
