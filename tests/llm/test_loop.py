"""The thread of all network traffic goes on, whatever is raised in it."""

from __future__ import annotations

import asyncio
import threading
from typing import NoReturn
from unittest.mock import Mock

import pytest

from optillm_cerebras_cepo.llm.loop import Loop

SECONDS = 60.0  # far more than any of these takes


async def answer() -> str:
    """Take a turn of the loop."""
    await asyncio.sleep(0)
    return "done"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, MemoryError])
def test_what_a_call_raises_is_its_callers(error: type[BaseException]) -> None:
    """Asyncio ends its loop for some of these; every later call would wait for ever."""
    loop = Loop()

    async def broken() -> NoReturn:
        raise error

    with pytest.raises(error):
        loop.run(broken(), timeout=SECONDS)
    assert loop.run(answer(), timeout=SECONDS) == "done"


def test_where_no_thread_can_be_started_the_next_call_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would wait for a loop that nobody runs."""
    loop = Loop()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError("can't start new thread")))
        with pytest.raises(RuntimeError):
            loop.run(answer(), timeout=SECONDS)
    assert loop.run(answer(), timeout=SECONDS) == "done"


def test_what_a_callback_raises_is_nobodys_end() -> None:
    """It belongs to no call."""
    loop = Loop()

    async def schedule() -> None:
        def exit_now() -> NoReturn:
            raise SystemExit

        asyncio.get_running_loop().call_soon(exit_now)

    loop.run(schedule(), timeout=SECONDS)
    assert loop.run(answer(), timeout=SECONDS) == "done"
