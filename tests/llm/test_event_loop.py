"""The network thread continues, whatever is raised in it."""

from __future__ import annotations

import asyncio
import threading
from typing import NoReturn
from unittest.mock import Mock

import pytest

from optillm_cerebras_cepo.llm.event_loop import EventLoop

SECONDS = 60.0  # far more than any of these takes


async def answer() -> str:
    """Take a turn of the loop."""
    await asyncio.sleep(0)
    return "done"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, MemoryError])
def test_error_of_a_call_goes_to_its_caller(error: type[BaseException]) -> None:
    """Asyncio stops its loop for some of these, and every later call would wait for ever."""
    loop = EventLoop()

    async def broken() -> NoReturn:
        raise error

    with pytest.raises(error):
        loop.run(broken(), timeout=SECONDS)
    assert loop.run(answer(), timeout=SECONDS) == "done"


def test_next_call_tries_again_to_start_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would wait for a loop that does not run."""
    loop = EventLoop()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError("can't start new thread")))
        with pytest.raises(RuntimeError):
            loop.run(answer(), timeout=SECONDS)
    assert loop.run(answer(), timeout=SECONDS) == "done"


def test_error_of_a_callback_ends_no_call() -> None:
    """It belongs to no call."""
    loop = EventLoop()

    async def schedule() -> None:
        def exit_now() -> NoReturn:
            raise SystemExit

        asyncio.get_running_loop().call_soon(exit_now)

    loop.run(schedule(), timeout=SECONDS)
    assert loop.run(answer(), timeout=SECONDS) == "done"
