"""What the metrics of a sidecar process say of its state and of the requests that failed."""

from __future__ import annotations

import threading
from collections.abc import Callable

from support import web
from support.optillm_process import Server
from support.ports import nobody_listens
from support.releasing import releasing
from support.sidecar_process import sidecar
from support.waiting import PATIENCE, until

from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.server import Simulator

KEY = "csk-0123456789abcdef"
ASK = {"model": "llama3.3-70b", "messages": [{"role": "user", "content": "What is 12 times 7?"}]}
DIRECT = ASK | {"model": "none-llama3.3-70b"}


def has(server: Server, *samples: str) -> bool:
    """Return whether all of these lines are in /metrics."""
    return set(samples) <= set(web.get(f"{server.url}/metrics").text.splitlines())


def test_a_full_server(simulate: Callable[..., Simulator]) -> None:
    """One request runs, one waits, and one is refused."""
    api = simulate(rules=(Rule(held=True),))
    environ = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api.url}
    with sidecar("--max-requests", "1", "--max-queue", "1", environ=environ) as server:
        threads = [threading.Thread(target=server.ask, args=(ASK,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        until(lambda: has(server, "cepo_cerebras_requests_in_flight 2.0", "cepo_cerebras_requests_waiting 1.0"))
        assert server.ask(ASK).status_code == 503
        until(lambda: has(server, 'cepo_cerebras_errors_total{code="server_full",status="503"} 1.0'))
        with releasing(api):
            for thread in threads:
                thread.join(PATIENCE)
        until(lambda: has(server, "cepo_cerebras_requests_in_flight 0.0", "cepo_cerebras_requests_waiting 0.0"))


def test_a_stream_that_fails(simulate: Callable[..., Simulator]) -> None:
    """Its status is 200, for it has begun; its error is counted all the same. An answer counts as none."""
    api = simulate(rules=(Rule(pattern="fail", fault="reset_body", text="word " * 100),))
    environ = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api.url}
    with sidecar(environ=environ) as server:
        assert server.ask(DIRECT).status_code == 200
        failing = DIRECT | {"stream": True, "messages": [{"role": "user", "content": "fail"}]}
        assert server.ask(failing).status_code == 200
        until(lambda: has(server, 'cepo_cerebras_errors_total{code="stream_broken",status="502"} 1.0'))
        assert web.get(f"{server.url}/metrics").text.count("cepo_cerebras_errors_total{") == 1


def test_ready(simulate: Callable[..., Simulator]) -> None:
    """1 as soon as the API was reached, 0 where it is not."""
    for_all = {"CEREBRAS_API_KEY": KEY}
    with sidecar(environ=for_all | {"CEREBRAS_BASE_URL": simulate().url}) as server:
        until(lambda: has(server, "cepo_cerebras_ready 1.0"))
    with nobody_listens() as url, sidecar(environ=for_all | {"CEREBRAS_BASE_URL": url}) as server:
        assert has(server, "cepo_cerebras_ready 0.0")
