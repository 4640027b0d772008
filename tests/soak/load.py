"""Clients: the requests that they send, when they hang up, and the replies that they get."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

ONE = {f"cepo_cerebras_{name}": 1 for name in ("bestofn_n", "planning_n", "planning_m")}
TWO = ONE | {"cepo_cerebras_bestofn_n": 2, "cepo_cerebras_planning_m": 2}
DIRECT = {"cepo_cerebras_effort": "none"}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
PATIENCE = 120.0  # seconds of a client that does wait


@dataclass(frozen=True)
class Kind:
    """A kind of request.

    Attributes:
        weight: its frequency relative to the other kinds.
        body: its fields besides model and messages.
        status: the expected status of its response.
        patience: seconds after which the client hangs up; None if it waits.

    """

    weight: int
    body: Mapping[str, Any]
    status: int = 200
    patience: float | None = None


KINDS: Mapping[str, Kind] = {
    "planned": Kind(6, TWO),
    "planned, streamed": Kind(6, TWO | STREAM),
    "as needed": Kind(3, {"cepo_cerebras_effort": "auto", "cepo_cerebras_bestofn_n": 2}),
    "direct": Kind(4, DIRECT),
    "direct, streamed": Kind(4, DIRECT | STREAM),
    "with tools": Kind(2, {"tools": [TOOL]}),
    "in a form": Kind(2, DIRECT | {"response_format": {"type": "json_object"}}),
    "hangs up": Kind(3, TWO, patience=0.2),
    "hangs up on a stream": Kind(3, TWO | STREAM, patience=0.2),
    "a bad field": Kind(1, {"temperature": "hot"}, status=400),
    "an unknown model": Kind(1, {"cepo_cerebras_model": "gpt-5"}, status=404),
}


@dataclass(frozen=True)
class Received:
    """The reply to one request. Tokens and calls are those that the reply or the error names."""

    name: str
    kind: str
    status: int | None  # None: the client hung up before there was any
    code: str | None = None  # of an error, also of one within a stream
    whole: bool = False  # whether the reply came to its end
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass
class Clients:
    """A number of clients, each with one request at a time.

    Args:
        url: base URL of OptiLLM.
        count: number of clients.
        seed: of the order of the kinds.

    """

    url: str
    count: int
    seed: int = 0
    received: list[Received] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._kinds = _shuffled_kinds(random.Random(self.seed))

    def run(self, seconds: float) -> None:
        """Send requests for so many seconds, then wait for all replies."""
        until = time.monotonic() + seconds
        threads = [threading.Thread(target=self._client, args=(until,)) for _ in range(self.count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, until: float) -> None:
        while time.monotonic() < until:
            with self._lock:
                number, kind = next(self._numbers), next(self._kinds)
            self.received.append(ask(self.url, f"soak-{number}", kind))


def _shuffled_kinds(chance: random.Random) -> Iterator[str]:
    """Yield kinds by their weights, in shuffled rounds that contain each as often as its weight."""
    while True:
        cards = [name for name, kind in KINDS.items() for _ in range(kind.weight)]
        chance.shuffle(cards)
        yield from cards


def ask(url: str, name: str, kind: str) -> Received:
    """Send one request, whose calls all carry its name as `user`."""
    sort = KINDS[kind]
    body = {"model": "any", "user": name, "messages": [{"role": "user", "content": "What is 6 times 7?"}], **sort.body}
    received: list[dict[str, Any]] = []
    status, whole = None, False
    until = time.monotonic() + (sort.patience or PATIENCE)
    try:
        with httpx.stream(
            "POST", f"{url}/v1/chat/completions", json=body, timeout=sort.patience or PATIENCE, trust_env=False
        ) as response:
            status = response.status_code
            if response.headers["content-type"].startswith("text/event-stream"):
                for line in response.iter_lines():
                    if line == "data: [DONE]":
                        whole = True
                    elif line.startswith("data: "):
                        received.append(json.loads(line[6:]))
                    if sort.patience and time.monotonic() > until:
                        break
            else:
                received.append(json.loads(response.read()))
                whole = True
    except httpx.ReadTimeout:
        if not sort.patience:
            raise
    return _received(name, kind, status, whole, received)


def _received(name: str, kind: str, status: int | None, whole: bool, bodies: list[dict[str, Any]]) -> Received:
    merged: dict[str, Any] = {}
    for body in bodies:
        merged |= {key: value for key, value in body.items() if value is not None}
    account, error = merged.get("cepo_cerebras", {}), merged.get("error", {})
    usage = account if error else merged.get("usage", {})
    return Received(
        name,
        kind,
        status,
        error.get("code"),
        whole or bool(error),
        account.get("calls", 0),
        usage.get("prompt_tokens", 0),
        usage.get("completion_tokens", 0),
    )
