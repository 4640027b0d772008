"""The memory for bodies that parsers acquire."""

from __future__ import annotations

import gc
import sys
import threading
from types import FrameType
from typing import Any

from support.waiting import PATIENCE
from waitress.adjustments import Adjustments

from optillm_cerebras_cepo.sidecar.parser import BodyMemory, RequestParser


def garbage(memory: BodyMemory, held: int) -> None:
    """Create a parser with so many acquired bytes that only the garbage collector can free."""
    parser = RequestParser(Adjustments(), lambda _: True, memory)
    memory.acquire(held)
    parser._acquired = held
    parser.itself = parser


def test_a_collected_parser_releases_its_memory() -> None:
    """A broken connection leaves its parser to the garbage collector."""
    memory = BodyMemory(10)
    garbage(memory, 10)
    gc.collect()
    assert memory.acquire(10)
    assert not memory.acquire(1)


def test_a_parser_can_be_collected_during_acquire() -> None:
    """In the same thread, at each line of `acquire`: it does not deadlock."""
    memory, taken = BodyMemory(1000), threading.Event()
    collected: list[int] = []

    def collect(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code is not BodyMemory.acquire.__code__:
            return None
        if event == "line":
            parser = RequestParser(Adjustments(), lambda _: True, memory)
            parser._acquired = 1
            parser.itself = parser
            del parser
            collected.append(gc.collect())
        return collect

    def work() -> None:
        sys.settrace(collect)
        try:
            memory.acquire(1)
        finally:
            sys.settrace(None)
        taken.set()

    threading.Thread(target=work, daemon=True).start()
    assert taken.wait(PATIENCE), "it waits for itself"
    assert len(collected) >= 3
    assert all(collected)
