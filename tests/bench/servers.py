"""Measuring the sidecar beside stock `optillm`, in one run, against an API that answers at once."""

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
    """How much is measured."""

    starts: int = 5
    rounds: int = 3
    clients: Sequence[int] = (1, 4, 16, 64)
    direct_seconds: float = 1.2  # of one round of one server with so many clients
    planned_seconds: float = 2.0
    pairs: int = 150  # of calls by the SDK, in each round
    resting: float = 1.0  # seconds until the memory of a server at rest is read
    crowd: int = 160  # questions to the sidecar at once: more than it has room for
    room: tuple[int, int] = (DEFAULTS.max_requests, DEFAULTS.max_queue)


QUICK = Plan(0, 1, (1, 2), 0.1, 0.1, 3, 0.0, 8, (2, 1))


@dataclass
class Cell:
    """One kind of question to one server from so many clients: all rounds together.

    Attributes:
        took: seconds that the rounds took.
        seconds: of each question that was answered 200.
        statuses: how many were answered with each status; 0 where the connection broke.
        unsaid: how many 503 had no retry-after.
        processor: seconds that the server used of it.

    """

    took: float = 0.0
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    unsaid: int = 0
    processor: float = 0.0

    @property
    def asked(self) -> int:
        """All questions."""
        return sum(self.statuses.values())

    @property
    def lost(self) -> int:
        """Those that were neither answered nor told when to come again."""
        return self.asked - self.statuses["200"] - self.statuses["503"] + self.unsaid

    @property
    def rate(self) -> float:
        """Answers in a second."""
        return len(self.seconds) / self.took

    @property
    def median(self) -> float:
        """Seconds."""
        return median(self.seconds)

    @property
    def slow(self) -> float:
        """The 99th percentile, in seconds."""
        return percentile(self.seconds, 0.99)

    @property
    def each(self) -> float:
        """Seconds of the processor for one question."""
        return self.processor / self.asked


Cells = dict[str, dict[int, Cell]]


@dataclass
class Seen:
    """All figures of a run.

    Attributes:
        load: processes that waited for a processor before it began.
        starts: by server, seconds until it was healthy.
        rests: by server, its memory then.
        sdk: by who was called, seconds of calls by the SDK's own client.
        direct: by way and number of clients, what became of direct calls.
        planned: by server and number of clients, what became of questions to `cepo_cerebras`.
        most: by server, the most memory with the most clients of `cepo_cerebras`.
        after: by server, its memory when nobody asks any more.
        crowd: what became of more questions to the sidecar than it takes.
        calls: to the API, of one planned question.

    """

    load: float
    starts: dict[str, list[float]] = field(default_factory=dict)
    rests: dict[str, list[Memory]] = field(default_factory=dict)
    sdk: dict[str, list[float]] = field(default_factory=dict)
    direct: Cells = field(default_factory=dict)
    planned: Cells = field(default_factory=dict)
    most: dict[str, Memory] = field(default_factory=dict)
    after: dict[str, Memory] = field(default_factory=dict)
    crowd: Cell = field(default_factory=Cell)
    calls: int = 0


def body(**more: Any) -> dict[str, Any]:
    """A question."""
    return {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], **more}


NONE = body(model=f"none-{MODEL}")
EFFORT = body(cepo_cerebras_effort="none")
# Which server answers, and what it is asked.
DIRECT = {
    API: (API, body()),
    "sidecar, model `none-…`": (SIDECAR, NONE),
    "sidecar, effort `none`": (SIDECAR, EFFORT),
    STOCK_NONE: (STOCK_NONE, body()),
    f"{STOCK}, effort `none`": (STOCK, EFFORT),
}
PLANNED = (SIDECAR, STOCK)


def measure(plan: Plan) -> Seen:
    """All of it."""
    seen = Seen(os.getloadavg()[0])
    works, waits = map(str, plan.room)
    commands = {**COMMANDS, SIDECAR: (*COMMANDS[SIDECAR], "--max-requests", works, "--max-queue", waits)}
    with instant_api() as api, Clients() as clients:
        environ = {"CEREBRAS_API_KEY": KEY, "CEREBRAS_BASE_URL": api, "OPTILLM_BASE_URL": api}
        for _ in range(plan.starts):
            for name in PLANNED:
                with serving([commands[name]], environ) as (server,):
                    _start(seen, name, server, plan.resting)
        with serving(commands.values(), environ) as started:
            servers = dict(zip(commands, started, strict=True))
            for name, server in servers.items():
                if not plan.starts:
                    _start(seen, name, server, plan.resting)
                server.healthy()
            seen.calls = _calls_of_a_plan(clients, api, servers[SIDECAR])
            for _ in range(plan.rounds):
                _round(seen, plan, clients, api, servers)
            _ask(seen.crowd, clients, Load(servers[SIDECAR].url, body(), plan.crowd), servers[SIDECAR])
            time.sleep(plan.resting)
            seen.after = {name: servers[name].memory for name in PLANNED}
    return seen


def _start(seen: Seen, name: str, server: Server, resting: float) -> None:
    seen.starts.setdefault(name, []).append(server.healthy())
    time.sleep(resting)
    seen.rests.setdefault(name, []).append(server.memory)


def _round(seen: Seen, plan: Plan, clients: Clients, api: str, servers: Mapping[str, Server]) -> None:
    """All servers in turns, with each number of clients."""
    urls = {API: api, **{name: server.url for name, server in servers.items()}}
    _by_the_sdk(seen, plan.pairs, urls)
    for count in plan.clients:
        for name, (whose, question) in DIRECT.items():
            load = Load(urls[whose], question, count, plan.direct_seconds)
            _ask(_cell(seen.direct, name, count), clients, load, servers.get(whose))
        for name in PLANNED:
            load = Load(urls[name], body(), count, plan.planned_seconds)
            with most_memory(servers[name]) as most:
                _ask(_cell(seen.planned, name, count), clients, load, servers[name])
            if count == plan.clients[-1]:
                seen.most[name] = max(most[0], seen.most.get(name, most[0]), key=lambda memory: memory.all)


def _cell(cells: Cells, name: str, count: int) -> Cell:
    return cells.setdefault(name, {}).setdefault(count, Cell())


def _ask(cell: Cell, clients: Clients, load: Load, server: Server | None) -> None:
    used = server.processor if server else 0.0
    told = clients.ask(load)
    cell.processor += (server.processor if server else 0.0) - used
    cell.took += told.took
    cell.seconds += told.seconds
    cell.statuses.update(told.statuses)
    cell.unsaid += told.unsaid


def _by_the_sdk(seen: Seen, pairs: int, urls: Mapping[str, str]) -> None:
    """One call after another by the SDK's own client: to the API, and through a server, in turns."""
    ways = {API: body(), SIDECAR: NONE, STOCK_NONE: body()}
    sdk = {name: Cerebras(api_key=KEY, base_url=urls[name], warm_tcp_connection=False, max_retries=0) for name in ways}
    for turn in range(-2, pairs):  # the first two open the connections
        for name, question in ways.items():
            if name == STOCK_NONE and turn % 5 > 1:  # it is slow, and needs no fine figure
                continue
            began = time.perf_counter()
            sdk[name].chat.completions.create(**question)
            if turn >= 0:
                seen.sdk.setdefault(name, []).append(time.perf_counter() - began)
    for client in sdk.values():
        client.close()


def _calls_of_a_plan(clients: Clients, api: str, server: Server) -> int:
    """How many calls a question takes; after it the process is up that compares formulas."""
    before = _calls(api)
    told = clients.ask(Load(server.url, body(), 1))
    if told.statuses != {"200": 1}:
        raise RuntimeError(f"the first question was answered {told.statuses}")
    return _calls(api) - before


def _calls(api: str) -> int:
    connection = http.client.HTTPConnection(api.removeprefix("http://"), timeout=5)
    try:
        connection.request("GET", "/calls")
        return int(connection.getresponse().read())
    finally:
        connection.close()
