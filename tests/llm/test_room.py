"""How many calls fit into a time, by the limits that are known: what a request plans with."""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from optillm_cerebras_cepo.chat import ChatRequest, Label, Message, Step
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import Ended
from optillm_cerebras_cepo.events import ignore
from optillm_cerebras_cepo.llm.limits import Cost, Limits, admit, limited, room
from optillm_cerebras_cepo.llm.pace import Gate, LocalBooks


def charged(limits: Limits, calls: int, now: float) -> Limits:
    """The limits after so many calls have gone out."""
    for _ in range(calls):
        limits, _ = admit(limits, Cost(1, 100), now)
    return limits


def test_without_limits_there_is_room_for_all() -> None:
    """Tokens alone say nothing of calls, for who knows how many each takes."""
    assert room(limited({}, 0.0), 60, 0.0) == math.inf
    assert room(limited({"tokens-minute": 1000}, 0.0), 60, 0.0) == math.inf


@pytest.mark.parametrize(("seconds", "calls"), [(0, 2), (12, 3), (60, 7), (600, 52)])
def test_there_is_room_for_what_is_there_and_what_flows_in(seconds: float, calls: float) -> None:
    """Five a minute, of which three have gone out."""
    limits = charged(limited({"requests-minute": 5}, 0.0), 3, 0.0)
    assert room(limits, seconds, 0.0) == pytest.approx(calls)


def test_the_tightest_window_counts() -> None:
    """Ten a day are not more for being 300 a minute."""
    limits = limited({"requests-minute": 300, "requests-day": 10}, 0.0)
    assert room(limits, 600, 0.0) == pytest.approx(10 + 600 * 10 / 86_400)


def test_those_that_wait_already_go_first() -> None:
    """Two flow in in two minutes; one of them is for the call that waits."""
    gate, deadline = Gate(LocalBooks(lambda now: limited({"requests-minute": 1}, now), lambda: 0.0), 4), Deadline(600)
    request = ChatRequest("m", (Message("user", "q"),), 10, Label(Step.PLAN, 1), deadline=deadline)
    gate.enter((0,), Cost(1, 1), request, ignore)
    assert gate.room(120) == pytest.approx(2)
    with ThreadPoolExecutor(1) as threads:
        waits = threads.submit(gate.enter, (0,), Cost(1, 1), request, ignore)
        while not gate.waiting:
            time.sleep(0.001)
        assert gate.room(120) == pytest.approx(1)
        deadline.end(Ended("over"))
        assert isinstance(waits.exception(10), Ended)
