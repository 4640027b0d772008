"""The sidecar as a process: what its clients, its operator and its log see."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from support.optillm_process import Server, free_port
from support.sidecar_process import COMMAND, sidecar
from support.waiting import until

from optillm_cerebras_cepo.simulator.latency import Latency
from optillm_cerebras_cepo.simulator.options import SimulatorOptions
from optillm_cerebras_cepo.simulator.server import Simulator

KEY = "csk-0123456789abcdef"
ASK = {"model": "llama3.3-70b", "messages": [{"role": "user", "content": "What is 12 times 7?"}]}


@pytest.fixture(scope="module")
def api() -> Iterator[Simulator]:
    """A simulated API for the tests that only ask."""
    with Simulator(SimulatorOptions()) as running:
        yield running


@pytest.fixture(scope="module")
def server(api: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A sidecar with its key in a file."""
    secret = tmp_path_factory.mktemp("secrets") / "key"
    secret.write_text(f"{KEY}\n")
    with sidecar(environ={"CEREBRAS_API_KEY_FILE": str(secret), "CEREBRAS_BASE_URL": api.url}) as running:
        until(lambda: httpx.get(f"{running.url}/ready").status_code == 200)
        yield running


def logged(server: Server, **fields: object) -> dict[str, Any]:
    """The line of the log that has these fields, once it is there."""

    def matching() -> dict[str, Any] | None:
        lines = (json.loads(line) for line in list(server.lines))
        return next((line for line in lines if fields.items() <= line.items()), None)

    found: dict[str, Any] = until(matching)
    return found


def test_a_planned_answer(server: Server) -> None:
    """27 calls, the full object, and no call that OptiLLM makes for itself."""
    reply = server.ask(ASK)
    assert reply.status_code == 200
    assert reply.json()["cepo_cerebras"]["calls"] == 27


@pytest.mark.parametrize("how", [{"model": "none-llama3.3-70b"}, {"optillm_approach": "none"}])
def test_a_direct_answer(server: Server, api: Simulator, how: dict[str, Any]) -> None:
    """One call of the pinned model, with the token limit that the client says."""
    before = len(api.chat_calls)
    reply = server.ask({**ASK, **how, "max_tokens": 2000})
    assert reply.json()["cepo_cerebras"]["effort"] == "none"
    (call,) = api.chat_calls[before:]
    assert (call.body["model"], call.body["max_completion_tokens"]) == ("llama-3.3-70b", 2000)


def test_none_with_another_effort_is_refused(server: Server) -> None:
    """One of the two is a mistake."""
    reply = server.ask({**ASK, "model": "none-llama3.3-70b", "cepo_cerebras_effort": "high"})
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "cepo_cerebras_effort")


def test_a_stream(server: Server) -> None:
    """Progress, then the answer, then [DONE]."""
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json={**ASK, "stream": True}, timeout=60) as reply:
        lines = [line.removeprefix("data: ") for line in reply.iter_lines() if line.startswith("data: ")]
    deltas = [json.loads(line)["choices"][0]["delta"] for line in lines[:-1]]
    assert lines[-1] == "[DONE]"
    assert any("reasoning_content" in delta for delta in deltas)
    assert any(delta.get("content") for delta in deltas)


def test_the_request_id_goes_through(server: Server) -> None:
    """From the client to the reply, the access log, and every line that tells of the request's calls."""
    reply = httpx.post(f"{server.url}/v1/chat/completions", json=ASK, headers={"x-request-id": "mine-1"}, timeout=60)
    assert reply.headers["x-request-id"] == "mine-1"
    line = logged(server, request_id="mine-1", logger="optillm_cerebras_cepo.access")
    assert {name: line[name] for name in ("method", "path", "status", "calls", "approach", "effort", "model")} == {
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "calls": 27,
        "approach": "cepo_cerebras",
        "effort": "medium",
        "model": "llama-3.3-70b",
    }
    assert line["bytes"] == len(reply.content)
    assert logged(server, request_id="mine-1", logger="optillm_cerebras_cepo.progress")


def test_a_good_answer_to_a_probe_is_no_news(server: Server) -> None:
    """It would be a line every few seconds; one that is not good is a line."""
    for path in ("/health", "/ready", "/metrics"):
        assert httpx.get(f"{server.url}{path}").status_code == 200
    assert httpx.post(f"{server.url}/ready").status_code == 405
    logged(server, path="/ready", status=405)
    lines = [json.loads(line) for line in list(server.lines)]
    assert not [line for line in lines if line.get("path") in ("/health", "/metrics")]


def test_every_line_of_the_log_is_json(server: Server) -> None:
    """Also those of OptiLLM's start."""
    httpx.get(f"{server.url}/nothing-here")
    logged(server, path="/nothing-here", status=404)
    assert all({"time", "level", "logger", "message"} <= json.loads(line).keys() for line in server.lines)


def test_the_models_are_those_that_answer(server: Server) -> None:
    """Each id of the list, asked for as it stands there."""
    page = httpx.get(f"{server.url}/v1/models").json()
    names = [model["id"] for model in page["data"]]
    assert "cepo_cerebras-llama3.3-70b" in names
    for name in names:
        assert server.ask({**ASK, "model": name}).json()["model"] == "llama-3.3-70b"
        assert httpx.get(f"{server.url}/v1/models/{name}").json()["id"] == name
    missing = httpx.get(f"{server.url}/v1/models/gpt-9")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_metrics_tell_what_was_asked(server: Server) -> None:
    """Calls by step and status, tokens, requests by effort."""
    server.ask(ASK)
    page = httpx.get(f"{server.url}/metrics").text
    assert 'cepo_cerebras_calls_total{status="200",step="plan"} ' in page
    assert 'cepo_cerebras_tokens_total{kind="completion",step="rating"} ' in page
    assert 'path="/v1/chat/completions",status="200"} ' in page


def test_a_client_that_hangs_up_is_heard(server: Server, simulate: Callable[..., Simulator]) -> None:
    """No call begins after it, and the log says so."""
    slow = simulate(latency=Latency(base=0.3))
    environ = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": slow.url}
    with sidecar(environ=environ) as patient:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{patient.url}/v1/chat/completions", json=ASK, timeout=0.8)
        logged(patient, hung_up=True, path="/v1/chat/completions")
        calls = len(slow.chat_calls)
        assert calls < 27
        until(lambda: any("the client hung up" in line for line in list(patient.lines)))
        assert len(slow.chat_calls) == calls


class Running:
    """A sidecar that is to be stopped, over an API that takes its time."""

    def __init__(self, api: Simulator, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environ = {**os.environ, "CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api.url}
        self.process = subprocess.Popen(
            [str(COMMAND), "serve", "--port", str(self.port), *arguments], env=environ, stderr=subprocess.DEVNULL
        )
        until(self.healthy)

    def healthy(self) -> bool:
        """Whether it answers."""
        try:
            return httpx.get(f"{self.url}/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, **more: Any) -> httpx.Response:
        """A question."""
        return httpx.post(f"{self.url}/v1/chat/completions", json={**ASK, **more}, timeout=60)


@pytest.fixture
def stopping(simulate: Callable[..., Simulator]) -> Iterator[Callable[..., tuple[Running, Simulator]]]:
    """Start sidecars; none is left."""
    running: list[Running] = []

    def start(latency: float, *arguments: str) -> tuple[Running, Simulator]:
        api = simulate(latency=Latency(base=latency))
        running.append(Running(api, *arguments))
        return running[-1], api

    yield start
    for one in running:
        one.process.kill()
        one.process.wait()


def asked(server: Running, api: Simulator, **more: Any) -> tuple[threading.Thread, list[httpx.Response]]:
    """A question whose first call has reached the API."""
    replies: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: replies.append(server.ask(**more)))
    thread.start()
    until(lambda: api.chat_calls)
    return thread, replies


def test_what_runs_is_finished_before_it_stops(stopping: Callable[..., tuple[Running, Simulator]]) -> None:
    """Whoever asks meanwhile on an open connection is told to go elsewhere; nobody gets a new one; status 0."""
    server, api = stopping(0.3)
    with httpx.Client(base_url=server.url) as kept:
        assert kept.get("/health").status_code == 200
        thread, replies = asked(server, api)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not server.healthy())
        refused = kept.post("/v1/chat/completions", json=ASK)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "shutting_down")
        assert refused.headers["retry-after"] == "1"
        assert kept.get("/ready").status_code == 503
        with pytest.raises(httpx.ConnectError):
            server.ask()
    thread.join(30)
    assert replies[0].status_code == 200
    assert server.process.wait(30) == 0


@pytest.mark.parametrize("stream", [False, True])
def test_what_does_not_finish_in_time_is_told_so(
    stopping: Callable[..., tuple[Running, Simulator]], stream: bool
) -> None:
    """503, or an error event where the reply has begun; and still status 0."""
    server, api = stopping(30.0, "--grace", "0.2")
    thread, replies = asked(server, api, stream=stream)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    thread.join(30)
    assert replies[0].status_code == (200 if stream else 503)
    assert '"code": "shutting_down"' in replies[0].text or replies[0].json()["error"]["code"] == "shutting_down"


def test_beyond_its_places_it_says_when_to_come_again(stopping: Callable[..., tuple[Running, Simulator]]) -> None:
    """One in hand and one waiting; the third is answered at once, and so is a probe."""
    server, api = stopping(30.0, "--max-requests", "1", "--max-queue", "1", "--grace", "0")
    first, _ = asked(server, api)
    second = threading.Thread(target=server.ask)
    second.start()
    until(lambda: "requests_in_flight 2.0" in httpx.get(f"{server.url}/metrics").text)
    refused = server.ask()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server_full")
    assert (refused.headers["retry-after"], refused.headers["x-should-retry"]) == ("5", "true")
    assert httpx.get(f"{server.url}/health").status_code == 200
    server.process.send_signal(signal.SIGTERM)
    first.join(30)
    second.join(30)


def test_ctrl_c_stops_it_too(stopping: Callable[..., tuple[Running, Simulator]]) -> None:
    """And the second one at once."""
    server, _ = stopping(0.0)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0


@pytest.mark.parametrize(
    ("arguments", "environ", "words"),
    [
        (["--max-queue", "x"], {}, "cepo-cerebras: --max-queue must be a number from 0 to 9999"),
        ([], {"OPTILLM_API_KEY": "x"}, "cepo-cerebras: OPTILLM_API_KEY makes OptiLLM serve a local model"),
        ([], {"CEPO_CEREBRAS_CLIENT_KEY": ""}, "cepo-cerebras: CEPO_CEREBRAS_CLIENT_KEY has no key in it"),
        (["--host", "192.0.2.1"], {}, "cepo-cerebras: cannot listen at 192.0.2.1:8080: "),
    ],
)
def test_a_start_that_cannot_be_ends_in_one_line(arguments: list[str], environ: dict[str, str], words: str) -> None:
    """With status 1."""
    done = subprocess.run(
        [str(COMMAND), "serve", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(words)


def test_help_has_our_options_and_optillms() -> None:
    """Ours first."""
    done = subprocess.run(
        [str(COMMAND), "serve", "--help"], capture_output=True, text=True, timeout=60, check=True, env={**os.environ}
    )
    assert done.stdout.index("--max-queue") < done.stdout.index("--optillm-api-key")


def test_without_the_extra_it_says_what_to_install() -> None:
    """A plain installation has no production server."""
    program = "import sys; sys.modules['waitress'] = None; from optillm_cerebras_cepo.cli import main; main(['serve'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "cepo-cerebras: serve needs waitress: pip install 'optillm-cerebras-cepo[sidecar]'\n"
