"""Clients: what they ask, when they lose patience, and what they were told."""

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
    """A sort of request.

    Attributes:
        weight: how often it comes, against the others.
        body: its fields beside model and messages.
        status: of its response.
        patience: seconds after which the client hangs up; None for one that waits.

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
class Told:
    """What a client was told of its request. Tokens and calls are those that the reply or the error names."""

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
    """So many clients, each with one request at a time.

    Args:
        url: OptiLLM's.
        count: clients at once.
        seed: of the sequence of kinds.

    """

    url: str
    count: int
    seed: int = 0
    told: list[Told] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._kinds = _dealt(random.Random(self.seed))

    def run(self, seconds: float) -> None:
        """Ask for so long, then wait until every client has what it waits for."""
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
            self.told.append(ask(self.url, f"soak-{number}", kind))


def _dealt(chance: random.Random) -> Iterator[str]:
    """Kinds by their weights, like cards: all of them come before the first one is dealt too often."""
    while True:
        cards = [name for name, kind in KINDS.items() for _ in range(kind.weight)]
        chance.shuffle(cards)
        yield from cards


def ask(url: str, name: str, kind: str) -> Told:
    """Send one request, whose calls all carry its name."""
    sort = KINDS[kind]
    body = {"model": "any", "user": name, "messages": [{"role": "user", "content": "What is 6 times 7?"}], **sort.body}
    told: list[dict[str, Any]] = []
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
                        told.append(json.loads(line[6:]))
                    if sort.patience and time.monotonic() > until:
                        break
            else:
                told.append(json.loads(response.read()))
                whole = True
    except httpx.ReadTimeout:
        if not sort.patience:
            raise
    return _told(name, kind, status, whole, told)


def _told(name: str, kind: str, status: int | None, whole: bool, bodies: list[dict[str, Any]]) -> Told:
    merged: dict[str, Any] = {}
    for body in bodies:
        merged |= {key: value for key, value in body.items() if value is not None}
    account, error = merged.get("cepo_cerebras", {}), merged.get("error", {})
    usage = account if error else merged.get("usage", {})
    return Told(
        name,
        kind,
        status,
        error.get("code"),
        whole or bool(error),
        account.get("calls", 0),
        usage.get("prompt_tokens", 0),
        usage.get("completion_tokens", 0),
    )
