"""Measure the sidecar and stock `optillm` in one run, with an API that answers immediately."""

from __future__ import annotations

import http.client
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from cerebras.cloud.sdk import Cerebras

from bench.clients import Load
from bench.figures import percentile
from bench.instant import MODEL
from bench.processes import KEY, Clients, Memory, Server, instant_api, most_memory, serving
from optillm_cerebras_cepo.sidecar.options import Options

QUESTION = "What is 6 times 7?"
SIDECAR, STOCK, STOCK_NONE = "sidecar", "`optillm --approach cepo_cerebras`", "`optillm --approach none`"
COMMANDS = {
    SIDECAR: ("cepo-cerebras", "serve"),
    STOCK: ("optillm", "--approach", "cepo_cerebras"),
    STOCK_NONE: ("optillm", "--approach", "none"),
}
API = "the API itself"
DEFAULTS = Options()


@dataclass(frozen=True)
class Plan:
    """Extent of a measurement."""

    starts: int = 5
    rounds: int = 3
    clients: Sequence[int] = (1, 4, 16, 64)
    direct_seconds: float = 1.2  # per round, server and number of clients
    planned_seconds: float = 2.0
    pairs: int = 150  # of calls by the SDK, per round
    idle_seconds: float = 1.0  # seconds before the memory of an idle server is read
    overload: int = 160  # simultaneous requests to the sidecar: more than it accepts
    capacity: tuple[int, int] = (DEFAULTS.max_requests, DEFAULTS.max_queue)


QUICK = Plan(0, 1, (1, 2), 0.1, 0.1, 3, 0.0, 8, (2, 1))


@dataclass
class LoadResults:
    """Results of all rounds of one kind of request to one server with one number of clients.

    Attributes:
        took: duration of the rounds in seconds.
        seconds: durations of the requests with status 200.
        statuses: number of replies with each status; 0 for broken connections.
        without_retry_after: number of replies with status 503 but without retry-after.
        cpu: processor seconds of the server.

    """

    took: float = 0.0
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    without_retry_after: int = 0
    cpu: float = 0.0

    @property
    def requests(self) -> int:
        """Number of requests."""
        return sum(self.statuses.values())

    @property
    def lost(self) -> int:
        """Number of requests without an answer or a 503 with retry-after."""
        return self.requests - self.statuses["200"] - self.statuses["503"] + self.without_retry_after

    @property
    def rate(self) -> float:
        """Answers per second."""
        return len(self.seconds) / self.took

    @property
    def median(self) -> float:
        """Median duration in seconds."""
        return median(self.seconds)

    @property
    def p99(self) -> float:
        """99th percentile of the duration in seconds."""
        return percentile(self.seconds, 0.99)

    @property
    def cpu_per_request(self) -> float:
        """Processor seconds per request."""
        return self.cpu / self.requests


ResultTable = dict[str, dict[int, LoadResults]]
"""Results by server or method, and by number of clients."""


@dataclass
class Measurements:
    """All figures of a run.

    Attributes:
        load: load average before the run.
        starts: by server, seconds until it was healthy.
        idle: by server, its memory after the start.
        sdk: by target, durations of calls by the SDK's client.
        direct: results of direct calls.
        planned: results of requests to `cepo_cerebras`.
        most: by server, the largest memory with the largest number of clients of `cepo_cerebras`.
        after: by server, its memory after all requests.
        overload: results of more requests than the sidecar accepts.
        calls: to the API for one planned request.

    """

    load: float
    starts: dict[str, list[float]] = field(default_factory=dict)
    idle: dict[str, list[Memory]] = field(default_factory=dict)
    sdk: dict[str, list[float]] = field(default_factory=dict)
    direct: ResultTable = field(default_factory=dict)
    planned: ResultTable = field(default_factory=dict)
    most: dict[str, Memory] = field(default_factory=dict)
    after: dict[str, Memory] = field(default_factory=dict)
    overload: LoadResults = field(default_factory=LoadResults)
    calls: int = 0


def body(**more: Any) -> dict[str, Any]:
    """Return the body of a request."""
    return {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], **more}


NONE = body(model=f"none-{MODEL}")
EFFORT = body(cepo_cerebras_effort="none")
# The server and the request body of each method.
DIRECT = {
    API: (API, body()),
    "sidecar, model `none-…`": (SIDECAR, NONE),
    "sidecar, effort `none`": (SIDECAR, EFFORT),
    STOCK_NONE: (STOCK_NONE, body()),
    f"{STOCK}, effort `none`": (STOCK, EFFORT),
}
PLANNED = (SIDECAR, STOCK)


def measure(plan: Plan) -> Measurements:
    """Run all measurements."""
    measured = Measurements(os.getloadavg()[0])
    running, waiting = map(str, plan.capacity)
    commands = {**COMMANDS, SIDECAR: (*COMMANDS[SIDECAR], "--max-requests", running, "--max-queue", waiting)}
    with instant_api() as api, Clients() as clients:
        environ = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api, "OPTILLM_BASE_URL": api}
        for _ in range(plan.starts):
            for name in PLANNED:
                with serving([commands[name]], environ) as (server,):
                    _start(measured, name, server, plan.idle_seconds)
        with serving(commands.values(), environ) as started:
            servers = dict(zip(commands, started, strict=True))
            for name, server in servers.items():
                if not plan.starts:
                    _start(measured, name, server, plan.idle_seconds)
                server.healthy()
            measured.calls = _calls_of_a_plan(clients, api, servers[SIDECAR])
            for _ in range(plan.rounds):
                _round(measured, plan, clients, api, servers)
            _send(measured.overload, clients, Load(servers[SIDECAR].url, body(), plan.overload), servers[SIDECAR])
            time.sleep(plan.idle_seconds)
            measured.after = {name: servers[name].memory for name in PLANNED}
    return measured


def _start(measured: Measurements, name: str, server: Server, idle_seconds: float) -> None:
    measured.starts.setdefault(name, []).append(server.healthy())
    time.sleep(idle_seconds)
    measured.idle.setdefault(name, []).append(server.memory)


def _round(measured: Measurements, plan: Plan, clients: Clients, api: str, servers: Mapping[str, Server]) -> None:
    """Measure all servers in turn, with each number of clients."""
    urls = {API: api, **{name: server.url for name, server in servers.items()}}
    _by_the_sdk(measured, plan.pairs, urls)
    for count in plan.clients:
        for name, (target, question) in DIRECT.items():
            load = Load(urls[target], question, count, plan.direct_seconds)
            _send(_results(measured.direct, name, count), clients, load, servers.get(target))
        for name in PLANNED:
            load = Load(urls[name], body(), count, plan.planned_seconds)
            with most_memory(servers[name]) as most:
                _send(_results(measured.planned, name, count), clients, load, servers[name])
            if count == plan.clients[-1]:
                measured.most[name] = max(most[0], measured.most.get(name, most[0]), key=lambda memory: memory.all)


def _results(table: ResultTable, name: str, count: int) -> LoadResults:
    return table.setdefault(name, {}).setdefault(count, LoadResults())


def _send(results: LoadResults, clients: Clients, load: Load, server: Server | None) -> None:
    used = server.processor if server else 0.0
    sent = clients.send(load)
    results.cpu += (server.processor if server else 0.0) - used
    results.took += sent.took
    results.seconds += sent.seconds
    results.statuses.update(sent.statuses)
    results.without_retry_after += sent.without_retry_after


def _by_the_sdk(measured: Measurements, pairs: int, urls: Mapping[str, str]) -> None:
    """Make calls with the SDK's client, to the API and through servers, in turn."""
    targets = {API: body(), SIDECAR: NONE, STOCK_NONE: body()}
    sdk = {
        name: Cerebras(api_key=KEY, base_url=urls[name], warm_tcp_connection=False, max_retries=0) for name in targets
    }
    for turn in range(-2, pairs):  # the first two open the connections
        for name, question in targets.items():
            if name == STOCK_NONE and turn % 5 > 1:  # it is slow, and its figure needs less precision
                continue
            began = time.perf_counter()
            sdk[name].chat.completions.create(**question)
            if turn >= 0:
                measured.sdk.setdefault(name, []).append(time.perf_counter() - began)
    for client in sdk.values():
        client.close()


def _calls_of_a_plan(clients: Clients, api: str, server: Server) -> int:
    """Return the number of calls of a planned request. It also starts the process that compares formulas."""
    before = _calls(api)
    sent = clients.send(Load(server.url, body(), 1))
    if sent.statuses != {"200": 1}:
        raise RuntimeError(f"the first request had the statuses {sent.statuses}")
    return _calls(api) - before


def _calls(api: str) -> int:
    connection = http.client.HTTPConnection(api.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/calls")
        return int(connection.getresponse().read())
    finally:
        connection.close()
