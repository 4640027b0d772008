"""A client that goes away: no new call starts, and those in flight are given up. A real server, real connections."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import KEY
from support.optillm_process import Server, optillm
from support.waiting import until
from support.wire import Wire, request

from optillm_cerebras_cepo.simulator import CLIENT_GONE
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.server import Simulator

BODY: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}


# A known rate: before the API's first reply, which never comes here, only a few calls go out otherwise.
KNOWN = {"CEREBRAS_API_KEY": KEY, "CEPO_CEREBRAS_RPM": "6000"}


@pytest.fixture
def api(simulate: Callable[..., Simulator]) -> Simulator:
    """An API that does not answer."""
    return simulate(rules=(Rule(fault="hang"),))


@pytest.fixture
def server(api: Simulator) -> Iterator[Server]:
    """The real optillm before it."""
    with optillm("--base-url", api.url, "--approach", "cepo_cerebras", environ=KNOWN) as running:
        yield running


@contextmanager
def asking(server: Server, **more: Any) -> Iterator[Wire]:
    """Ask, hang up at the end of the block, and wait until the server says that it has given the request up."""
    with Wire(server.url) as wire:
        yield wire.send(request(body=json.dumps(BODY | more).encode()))
    until(lambda: "the client hung up" in server.log, lambda: server.log)


def ended(api: Simulator) -> list[int | None]:
    """How all calls have ended; the API sees a moment later than the server that it has given them up."""
    until(lambda: api.in_flight == 0, lambda: api.chat_calls)
    return [call.status for call in api.chat_calls]


def test_the_work_stops_with_the_stream(server: Server, api: Simulator) -> None:
    """The first chunk is there while all nine plans are under way; none of them outlives the connection."""
    with asking(server, stream=True) as wire:
        until(lambda: b'"role": "assistant"' in wire.socket.recv(65_536, socket.MSG_PEEK))
        until(lambda: api.in_flight == 9)
    assert ended(api) == [CLIENT_GONE] * 9


def test_the_work_stops_with_the_request(server: Server, api: Simulator) -> None:
    """Also for a client that waits for the whole and loses patience."""
    with asking(server):
        until(lambda: api.in_flight == 9)
    assert ended(api) == [CLIENT_GONE] * 9


def test_news_that_never_pause_hide_no_hangup(simulate: Callable[..., Simulator]) -> None:
    """Calls that end all the time, in a request of hundreds: the client's leaving is seen between them."""
    api = simulate()
    environ = {"CEREBRAS_API_KEY": KEY, "CEPO_CEREBRAS_CONCURRENCY": "1"}
    with optillm("--base-url", api.url, "--approach", "cepo_cerebras", environ=environ) as server:
        with asking(server, cepo_cerebras_bestofn_n=100):
            until(lambda: len(api.chat_calls) > 10)
        assert len(ended(api)) < 100 * 9
