"""Many requests at once: each is answered or refused, and probes are answered meanwhile."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import optillm.server as server
import pytest
from conftest import KEY
from pytest_mock import MockerFixture
from support.http_server import address, serving
from support.sidecar_process import sidecar
from support.waiting import until
from support.wire import Wire, ask, assert_refused, request

from optillm_cerebras_cepo.host import routing
from optillm_cerebras_cepo.simulator.latency import Latency
from optillm_cerebras_cepo.simulator.server import Simulator

QUESTION = request(body=b'{"messages": [{"role": "user", "content": "What is 6 times 7?"}]}')
CROWD = 500
OVERFLOW = 2000


@pytest.fixture(autouse=True)
def _files() -> Iterator[None]:
    """Raise this process's own limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OVERFLOW + 1000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip("the system allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_500_requests_at_once(simulate: Callable[..., Simulator]) -> None:
    """As many as there are slots are answered, the others get 503 at once, no connection is cut."""
    api = simulate(latency=Latency(base=0.5))
    environ = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api.url, "CEPO_CEREBRAS_EFFORT": "none"}
    with sidecar(environ=environ) as server:
        crowd = [Wire(server.url) for _ in range(CROWD)]
        for wire in crowd:
            wire.send(QUESTION)
        for path in ("/health", "/metrics", "/v1/models"):
            assert ask(server.url, request("GET", path)).status == 200
        replies = [wire.reply("POST") for wire in crowd]
        for reply in replies:
            if reply.status != 200:
                assert_refused(reply, 503, "server_full")
                assert int(reply.headers["retry-after"]) > 0
        statuses = Counter(reply.status for reply in replies)
        assert statuses[200] >= 96
        assert statuses.keys() <= {200, 503}
        assert len(api.chat_calls) == statuses[200]
        # Those connections are open, and can be used again; and so can a new one.
        assert crowd[0].send(QUESTION).reply("POST").status == 200
        assert ask(server.url, QUESTION).status == 200
        for wire in crowd:
            wire.close()
        until(lambda: b"requests_in_flight 0.0" in ask(server.url, request("GET", "/metrics")).body)


def test_2000_idle_connections(plain: Any) -> None:
    """Twice the limit: a new client waits a few seconds, as idle connections are closed sooner then."""
    idle = [Wire(plain.url) for _ in range(OVERFLOW)]
    assert plain.send(request("GET", "/health")).status == 200
    assert plain.send(QUESTION).status == 200
    for wire in idle:
        wire.close()
    assert plain.send(QUESTION).status == 200


def test_100_first_requests_create_one_client(mocker: MockerFixture) -> None:
    """Creating one takes 30 ms of CPU."""
    mocker.patch.dict(os.environ, {"CEREBRAS_API_KEY": KEY})
    mocker.patch.dict(server.server_config, {"base_url": "http://127.0.0.1:9"})
    routing._client.cache_clear()
    made = mocker.patch.object(routing, "plain_client", side_effect=lambda *_: time.sleep(0.05))
    try:
        with ThreadPoolExecutor(100) as crowd:
            assert len([*crowd.map(lambda _: routing._client_and_key(), range(100))]) == 100
    finally:
        routing._client.cache_clear()
    assert made.call_count == 1


def test_a_probe_is_answered_before_queued_requests() -> None:
    """Otherwise Docker would restart the container; but many probes do not block other requests."""
    answered: list[str] = []
    go = threading.Event()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        answered.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/first":
            go.wait(30)
        start_response("200 OK", [("content-type", "text/plain")])
        return [b"done"]

    with serving(application, threads=1) as server, ExitStack() as wires:
        waiting = []
        for count, path in enumerate(["/first", "/a", "/b", "/health", "/c", "/ready", "/health"]):
            waiting.append(wires.enter_context(Wire(address(server))).send(request("GET", path)))
            until(lambda: answered and len(server.task_dispatcher.queue) == count)  # noqa: B023
        go.set()
        for wire in waiting:
            assert wire.reply().status == 200
    assert answered == ["/first", "/health", "/a", "/b", "/c", "/ready", "/health"]
