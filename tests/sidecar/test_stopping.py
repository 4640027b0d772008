"""The sidecar as a process that is full or stops: what happens to running and to new requests."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from support import web
from support.ports import free_port
from support.releasing import releasing
from support.sidecar_process import COMMAND
from support.waiting import PATIENCE, until

from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.latency import Latency
from optillm_cerebras_cepo.simulator.server import Simulator

KEY = "csk-0123456789abcdef"
ASK = {"model": "llama3.3-70b", "messages": [{"role": "user", "content": "What is 12 times 7?"}]}


class Running:
    """A sidecar in front of a slow API."""

    def __init__(self, api: Simulator, *arguments: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environ = {**os.environ, "CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api.url}
        self.process = subprocess.Popen(
            [str(COMMAND), "serve", "--port", str(self.port), *arguments], env=environ, stderr=subprocess.DEVNULL
        )
        until(self.healthy)

    def healthy(self) -> bool:
        """Return whether it is ready."""
        try:
            return web.get(f"{self.url}/ready").status_code == 200
        except httpx.TransportError:
            return False

    def ask(self, **more: Any) -> httpx.Response:
        """Send a chat request."""
        return web.post(f"{self.url}/v1/chat/completions", json={**ASK, **more})


@pytest.fixture
def stopping(simulate: Callable[..., Simulator]) -> Iterator[Callable[..., tuple[Running, Simulator]]]:
    """Return a function that starts sidecars; kill them at the end."""
    running: list[Running] = []

    def start(latency: float, *arguments: str, rules: tuple[Rule, ...] = ()) -> tuple[Running, Simulator]:
        api = simulate(latency=Latency(base=latency), rules=rules)
        running.append(Running(api, *arguments))
        return running[-1], api

    yield start
    for one in running:
        one.process.kill()
        one.process.wait()


def asked(server: Running, api: Simulator, **more: Any) -> tuple[threading.Thread, list[httpx.Response]]:
    """Send a chat request on another thread and wait until its first call has reached the API."""
    replies: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: replies.append(server.ask(**more)))
    thread.start()
    until(lambda: api.chat_calls)
    return thread, replies


def test_running_requests_are_finished_before_it_stops(stopping: Callable[..., tuple[Running, Simulator]]) -> None:
    """New requests on open connections get 503, new connections are refused; exit status 0."""
    server, api = stopping(0.0, rules=(Rule(held=True),))
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as kept:
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
    with releasing(api):
        thread.join(PATIENCE)
    assert replies[0].status_code == 200
    assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("stream", [False, True])
def test_unfinished_requests_get_an_error_after_the_grace_time(
    stopping: Callable[..., tuple[Running, Simulator]], stream: bool
) -> None:
    """503, or an error event in a stream; exit status 0."""
    server, api = stopping(30.0, "--grace", "0.2")
    thread, replies = asked(server, api, stream=stream)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(30) == 0
    thread.join(30)
    assert replies[0].status_code == (200 if stream else 503)
    assert '"code": "shutting_down"' in replies[0].text or replies[0].json()["error"]["code"] == "shutting_down"


def test_a_full_server_says_when_to_retry(stopping: Callable[..., tuple[Running, Simulator]]) -> None:
    """One request runs and one waits; the third gets 503 at once, a probe is answered."""
    server, api = stopping(30.0, "--max-requests", "1", "--max-queue", "1", "--grace", "0")
    first, _ = asked(server, api)
    second = threading.Thread(target=server.ask)
    second.start()
    until(lambda: "requests_in_flight 2.0" in web.get(f"{server.url}/metrics").text)
    refused = server.ask()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "server_full")
    assert (refused.headers["retry-after"], refused.headers["x-should-retry"]) == ("5", "true")
    assert web.get(f"{server.url}/health").status_code == 200
    server.process.send_signal(signal.SIGTERM)
    first.join(30)
    second.join(30)


def test_ctrl_c_stops_it(stopping: Callable[..., tuple[Running, Simulator]]) -> None:
    """As SIGTERM does."""
    server, _ = stopping(0.0)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
