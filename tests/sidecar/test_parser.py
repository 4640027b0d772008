"""What parsers of requests hold of the memory for bodies."""

from __future__ import annotations

import gc
import sys
import threading
from types import FrameType
from typing import Any

from waitress.adjustments import Adjustments

from optillm_cerebras_cepo.sidecar.parser import Parser, Room


def garbage(room: Room, held: int) -> None:
    """Leave a parser behind that holds so many bytes, and that only the garbage collector finds."""
    parser = Parser(Adjustments(), lambda _: True, room)
    room.take(held)
    parser._held = held
    parser.itself = parser


def test_garbage_gives_back_what_it_held() -> None:
    """A connection that broke off leaves its parser to the garbage collector."""
    room = Room(10)
    garbage(room, 10)
    gc.collect()
    assert room.take(10)
    assert not room.take(1)


def test_garbage_may_be_collected_while_room_is_taken() -> None:
    """On the same thread, at each line of `take`: no lock is held that giving back would wait for."""
    room, taken = Room(1000), threading.Event()
    collected: list[int] = []

    def collect(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code is not Room.take.__code__:
            return None
        if event == "line":
            parser = Parser(Adjustments(), lambda _: True, room)
            parser._held = 1
            parser.itself = parser
            del parser
            collected.append(gc.collect())
        return collect

    def work() -> None:
        sys.settrace(collect)
        try:
            room.take(1)
        finally:
            sys.settrace(None)
        taken.set()

    threading.Thread(target=work, daemon=True).start()
    assert taken.wait(60), "it waits for itself"
    assert len(collected) >= 3
    assert all(collected)
