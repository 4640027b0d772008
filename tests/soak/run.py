"""One soak run: the simulated API and optillm as processes, and clients in this one."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.api import CALL_LOG, Api, simulated
from support import web
from support.optillm_process import Server, optillm

from soak.load import Clients, Received
from soak.process import Resources, look

FAULTS: Mapping[str, float] = {
    "queue_exceeded": 0.02,
    "500": 0.02,
    "503": 0.01,
    "close": 0.01,
    "reset": 0.01,
    "cut": 0.01,
    "reset_body": 0.01,
    "empty_content": 0.01,
    "html": 0.005,
    "no_choices": 0.005,
}
"""Shares of the calls, together 11 %. A retry succeeds after each of them."""

CLIENTS = 8
EVERY = 0.5  # seconds between measurements under load
LEGS = 9  # the load pauses after each, to measure at rest and to read the ledger; three legs are a third
SETTLE = 60.0  # time-out for all calls and connections to end after a leg
KEY = "csk-0123456789abcdef"
# glibc's per-thread heaps grow by some MiB in any program, which would hide a leak.
ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}


@dataclass(frozen=True)
class Spent:
    """Calls and tokens, as the API counted them or as a client received them."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.calls + other.calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
        )


@dataclass(frozen=True)
class Leg:
    """Load, then rest.

    Attributes:
        loaded: measurements of the process under load.
        rest: a measurement afterwards.
        received: the replies that the clients got.
        spent: what the API counted, by the request's name.
        ends: number of calls by status or error code.

    """

    loaded: Sequence[Resources]
    rest: Resources
    received: Sequence[Received]
    spent: Mapping[str, Spent]
    ends: Mapping[str, int]


@dataclass
class Soak:
    """All legs of a run, and the server's log."""

    seconds: float
    clients: int = CLIENTS
    legs: list[Leg] = field(default_factory=list)
    log: str = ""

    @property
    def received(self) -> list[Received]:
        """Return the replies of all clients."""
        return [one for leg in self.legs for one in leg.received]


def soak(seconds: float, clients: int = CLIENTS, legs: int = LEGS) -> Soak:
    """Run under load for so many seconds, divided into legs (three or a multiple), with a rest after each."""
    faults = [f"--fault={name}={share}" for name, share in FAULTS.items()]
    done = Soak(seconds, clients)
    with simulated("--latency", "0.05", "--jitter", "0.9", *faults, sigma=0.3, seconds=0.2) as api:
        arguments = ("--base-url", api.url, "--approach", "cepo_cerebras")
        environ = {"CEREBRAS_API_KEY": KEY, "CEPO_CEREBRAS_HEDGED_CALLS": "true", **ONE_HEAP}
        with optillm(*arguments, environ=environ) as server:
            asking = Clients(server.url, clients)
            for _ in range(legs):
                done.legs.append(_leg(server, api, asking, seconds / legs))
            done.log = server.log
    return done


def _leg(server: Server, api: Api, asking: Clients, seconds: float) -> Leg:
    api.clear()
    before = len(asking.received)
    looks: list[Resources] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(EVERY):
            looks.append(_look(server, api))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        asking.run(seconds)
    finally:
        over.set()
        watching.join()
    calls = _rest(server, api)
    spent: dict[str, Spent] = {}
    for call in calls:
        name = call["body"]["user"]
        spent[name] = spent.get(name, Spent()) + Spent(1, call["prompt_tokens"], call["completion_tokens"])
    ends = Counter(str(call["code"] or call["status"]) for call in calls)
    return Leg(looks, _look(server, api), asking.received[before:], spent, ends)


def _rest(server: Server, api: Api) -> list[dict[str, Any]]:
    """Wait until no call and no client connection is open; return the leg's chat calls."""
    until = time.monotonic() + SETTLE
    while time.monotonic() < until:
        log = web.get(api.url + CALL_LOG).json()
        calls = [call for call in log["calls"] if call["path"].endswith("/chat/completions")]
        if not log["in_flight"] and not _look(server, api).client_sockets:
            return calls
        time.sleep(0.5)
    raise AssertionError(f"no rest within {SETTLE:.0f} s: {_look(server, api)}")


def _look(server: Server, api: Api) -> Resources:
    return look(server.pid, _port(server.url), _port(api.url))


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])
