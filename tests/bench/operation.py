"""A few minutes of operation of two sidecars, for the picture of the dashboard: calm, a rush, and a failing API.

Clients send real HTTP to real sidecars; the API is simulated, and its account allows fewer calls than the rush needs.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
from statistical_model.model import responder
from statistical_model.population import population
from support.optillm_process import Server
from support.sidecar_process import sidecar

from optillm_cerebras_cepo.simulator import problems
from optillm_cerebras_cepo.simulator.answers import Answer
from optillm_cerebras_cepo.simulator.latency import Latency
from optillm_cerebras_cepo.simulator.limits import RateLimits
from optillm_cerebras_cepo.simulator.options import SimulatorOptions
from optillm_cerebras_cepo.simulator.schema import ChatCompletionServerRequest
from optillm_cerebras_cepo.simulator.server import Simulator

CLIENT_KEY = "a-key-of-the-clients"
ENVIRON = {
    "CEREBRAS_API_KEY": "csk-0123456789abcdef",
    "CEPO_CEREBRAS_CLIENT_KEY": CLIENT_KEY,
    "CEPO_CEREBRAS_DEADLINE": "30",
    "CEPO_CEREBRAS_HEDGED_CALLS": "true",
}
FLAGS = ("--max-requests", "4", "--max-queue", "4", "--grace", "0")  # a small queue, which a rush fills
LIMITS = RateLimits(requests_per_minute=1500, burst=150)
LATENCY = Latency(base=0.15, tokens_per_second=1500, jitter=0.3, slow_share=0.02, slow_factor=8)
QUESTIONS = population(200)
EFFORTS = ("none", "low", "auto", "medium", "none", "auto", "high", "low")  # in turn
PAUSE = 1.0  # seconds of a client between two requests
INVALID_SHARE, HANG_UP_SHARE = 0.03, 0.03  # of requests
IMPATIENT = 1.5  # seconds after which a client hangs up that does


@dataclass(frozen=True)
class Phase:
    """A part of the run: so many clients with one request at a time; the API refuses a share of the calls (503)."""

    name: str
    seconds: float
    clients: int
    failing: float = 0.0


PHASES = (
    Phase("calm", 75, 4),
    Phase("more requests than the account's rate limit allows", 60, 24),
    Phase("calm", 45, 4),
    Phase("the API refuses most calls", 45, 4, failing=0.65),
    Phase("calm", 45, 4),
)
QUICK = (Phase("calm", 2, 2), Phase("the API refuses most calls", 1, 2, failing=0.65))


class Api:
    """Answers of the simulated API: those of the statistical model, and in a failing phase also refusals."""

    def __init__(self) -> None:
        self.failing = 0.0
        self._respond = responder()
        self._chance = random.Random(0)

    def answer(self, request: ChatCompletionServerRequest) -> Answer | None:
        """Answer a call, or refuse it."""
        if self._chance.random() < self.failing:
            return Answer("", reply=problems.unavailable())
        return self._respond(request)


@dataclass(frozen=True)
class Operation:
    """Sidecars at work; `run` sends them the load of a phase."""

    servers: Sequence[Server]
    api: Api

    def run(self, phase: Phase) -> None:
        """Let the phase's clients send requests until it ends; requests under way end later."""
        self.api.failing = phase.failing
        end = time.monotonic() + phase.seconds
        for number in range(phase.clients):
            threading.Thread(target=self._client, args=(number, end), daemon=True).start()
        time.sleep(phase.seconds)

    def _client(self, number: int, end: float) -> None:
        chance = random.Random(number)
        time.sleep(chance.uniform(0, PAUSE))
        for count in itertools.count(number):
            if time.monotonic() > end:
                return
            server = self.servers[count % len(self.servers)]
            time.sleep(_ask(server.url, chance.choice(QUESTIONS).text, EFFORTS[count % len(EFFORTS)], chance.random()))


def _ask(url: str, question: str, effort: str, point: float) -> float:
    """Send one request, and return the seconds to wait before the next one.

    `point` (0..1) chooses whether it is a usual request, an invalid one, or one whose client hangs up.
    """
    body: dict[str, Any] = {
        "model": "llama-3.3-70b",
        "messages": [{"role": "user", "content": question}],
        "cepo_cerebras_effort": effort,
    }
    if point < INVALID_SHARE:
        body["temperature"] = "hot"
    hangs_up = INVALID_SHARE < point < INVALID_SHARE + HANG_UP_SHARE
    with suppress(httpx.TransportError):
        reply = httpx.post(
            f"{url}/v1/chat/completions",
            json=body,
            headers={"Authorization": f"Bearer {CLIENT_KEY}"},
            timeout=IMPATIENT if hangs_up else 60.0,
            trust_env=False,
            verify=False,
        )
        return float(reply.headers.get("retry-after", PAUSE))
    return PAUSE


@contextmanager
def operation() -> Iterator[Operation]:
    """Run two sidecars in front of a simulated API while the block runs."""
    api = Api()
    options = SimulatorOptions(responder=api.answer, limits=LIMITS, latency=LATENCY)
    with ExitStack() as stack:
        environ = {**ENVIRON, "CEREBRAS_BASE_URL": stack.enter_context(Simulator(options)).url}
        yield Operation([stack.enter_context(sidecar(*FLAGS, environ=environ)) for _ in range(2)], api)
