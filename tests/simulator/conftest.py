"""Fixtures: simulators, the real SDK, and a plain HTTP client for requests that the SDK cannot send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from cerebras.cloud.sdk import Cerebras, DefaultHttpxClient
from support.waiting import PATIENCE, until
from support.wire import Wire, request

from optillm_cerebras_cepo.simulator import Simulator, SimulatorOptions

KEY = "csk-test"
MODEL = "llama-3.3-70b"


def sdk(simulator: Simulator, api_key: str = KEY, **options: Any) -> Cerebras:
    """Return the real SDK for a simulator, without retries and certificates, which take 50 ms to load."""
    base: dict[str, Any] = {
        "base_url": simulator.url,
        "max_retries": 0,
        "warm_tcp_connection": False,
        "timeout": PATIENCE,
    }
    base |= options
    return Cerebras(api_key=api_key, http_client=DefaultHttpxClient(verify=False), **base)


class Client:
    """A simulator, and the SDK and an HTTP client that call it."""

    def __init__(self, simulator: Simulator, stack: ExitStack) -> None:
        self.simulator = simulator
        self.sdk = stack.enter_context(sdk(simulator))
        self.http = stack.enter_context(
            httpx.Client(
                base_url=simulator.url, headers={"Authorization": f"Bearer {KEY}"}, verify=False, timeout=PATIENCE
            )
        )

    def create(self, text: str = "hello", **fields: Any) -> Any:
        """Request a chat completion with the SDK."""
        body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}
        return self.sdk.chat.completions.create(**body)

    def post(self, **fields: Any) -> httpx.Response:
        """Request a chat completion over plain HTTP; fields given as `...` are omitted."""
        body: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], **fields}
        return self.http.post(
            "/v1/chat/completions", json={name: value for name, value in body.items() if value is not ...}
        )

    def leave(self, when: Callable[[], object], **fields: Any) -> None:
        """Make a call, and disconnect before its reply when the condition is true."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], **fields}
        with Wire(self.simulator.url) as wire:
            wire.send(request(body=json.dumps(body).encode(), authorization=f"Bearer {KEY}"))
            until(when)


Start = Callable[..., Client]


@pytest.fixture
def started() -> Iterator[Start]:
    """Start simulators: `started(limits=…)` takes the fields of SimulatorOptions."""
    with ExitStack() as stack:

        def start(**options: Any) -> Client:
            return Client(stack.enter_context(Simulator(SimulatorOptions(**options))), stack)

        yield start


@pytest.fixture(scope="package")
def shared() -> Iterator[Client]:
    """One simulator with default options, for tests that do not read its log."""
    with ExitStack() as stack:
        yield Client(stack.enter_context(Simulator()), stack)
