"""When all work has stopped."""

from __future__ import annotations

import time

from optillm_cerebras_cepo.simulator.server import Simulator

LASTING = 1.0  # seconds without a call, longer than a server takes to see that its client has gone


def quiet(api: Simulator, within: float = 20.0) -> list[int | None]:
    """Wait until no call is open and none has begun for a while; returns how all of them ended."""
    began = last = time.monotonic()
    calls = len(api.chat_calls)
    while api.in_flight or time.monotonic() - last < LASTING:
        assert time.monotonic() - began < within
        if api.in_flight or len(api.chat_calls) > calls:
            last = time.monotonic()
            calls = len(api.chat_calls)
        time.sleep(0.01)
    return [call.status for call in api.chat_calls]
