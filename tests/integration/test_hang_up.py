"""A client of the example backend that leaves takes the sidecar's work with it."""

from __future__ import annotations

import subprocess

import pytest
from support.backend import FOLDER, House, environment

from optillm_cerebras_cepo.simulator import CLIENT_GONE

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("layer", ["speed", "reasoning"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_client_that_leaves_before_the_answer(house: House, layer: str, stream: bool) -> None:
    """The calls in flight end, none begins, and nobody is asked in the sidecar's place."""
    house.backend.leave("SLOW", layer, stream, when=lambda: house.api.in_flight > 0)
    house.settle()
    assert {call.status for call in house.api.chat_calls} == {CLIENT_GONE}
    assert house.direct.chat_calls == ()


LEFT_BEFORE = """
import asyncio
from types import SimpleNamespace
from app.chat import Relay

async def lines():
    yield "never asked for"

async def close():
    print("closed")

async def left():
    return {"type": "http.disconnect"}

async def stuck(message):
    await asyncio.Event().wait()

answer = SimpleNamespace(response=SimpleNamespace(aclose=close))
asyncio.run(Relay(answer, lines(), {})({"type": "http"}, left, stuck))
"""


def test_a_client_that_leaves_before_the_stream_is_begun() -> None:
    """Nobody has read a line by then, so the lines' own end comes too late to close the call behind them."""
    done = subprocess.run(
        [environment() / ".venv/bin/python", "-c", LEFT_BEFORE], cwd=FOLDER, capture_output=True, text=True, check=True
    )
    assert done.stdout == "closed\n"


def test_a_client_that_leaves_in_the_middle_of_the_answer(house: House) -> None:
    """The call ends where the client stopped reading."""
    with house.backend.streaming("LONG") as response:
        next(line for line in response.iter_lines() if "Six" in line)
        assert house.api.in_flight == 1
    house.settle()
    assert [call.status for call in house.api.chat_calls] == [CLIENT_GONE]
    assert house.direct.chat_calls == ()
