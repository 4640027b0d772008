"""A client that goes away: no new call starts, and those in flight are given up. A real server, real connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from conftest import KEY
from support.optillm_process import Server, optillm
from support.quiet import quiet

from optillm_cerebras_cepo.simulator import CLIENT_GONE
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.server import Simulator

BODY: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}


# A known rate: before the API's first reply, which takes a minute here, only a few calls go out otherwise.
KNOWN = {"CEREBRAS_API_KEY": KEY, "CEPO_CEREBRAS_RPM": "6000"}


@pytest.fixture
def api(simulate: Callable[..., Simulator]) -> Simulator:
    """An API whose calls take a minute."""
    return simulate(rules=(Rule(latency=60.0),))


@pytest.fixture
def server(api: Simulator) -> Iterator[Server]:
    """The real optillm before it."""
    with optillm("--base-url", api.url, "--approach", "cepo_cerebras", environ=KNOWN) as running:
        yield running


def test_the_work_stops_with_the_stream(server: Server, api: Simulator) -> None:
    """The first chunk is there while all nine plans are under way; none of them outlives the connection."""
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=BODY | {"stream": True}, timeout=30) as stream:
        first = next(stream.iter_lines())
        assert '"role": "assistant"' in first
        while api.in_flight < 9:
            time.sleep(0.01)
    assert quiet(api) == [CLIENT_GONE] * 9


def test_the_work_stops_with_the_request(server: Server, api: Simulator) -> None:
    """Also for a client that waits for the whole and loses patience."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/chat/completions", json=BODY, timeout=3)
    assert quiet(api) == [CLIENT_GONE] * 9


def test_news_that_never_pause_hide_no_hangup(simulate: Callable[..., Simulator]) -> None:
    """Calls that end all the time, in a request that would take a minute: the client's leaving is seen between them."""
    api = simulate(rules=(Rule(latency=0.1),))
    many = {"cepo_cerebras_bestofn_n": 20}
    environ = {"CEREBRAS_API_KEY": KEY, "CEPO_CEREBRAS_CONCURRENCY": "1"}
    with optillm("--base-url", api.url, "--approach", "cepo_cerebras", environ=environ) as server:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/v1/chat/completions", json=BODY | many, timeout=3)
        quiet(api)
