"""Time that passes only while every call that is waited for has stalled at the API: no machine is too slow for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from threading import Lock
from typing import Any

import pytest

from optillm_cerebras_cepo import runtime
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.host import plugin
from optillm_cerebras_cepo.llm import event_loop
from optillm_cerebras_cepo.llm.event_loop import OnLate
from optillm_cerebras_cepo.simulator import Simulator
from support.waiting import until

Within = Callable[[float | None, Future[Any], OnLate | None], Any]
LOOK = 0.002  # seconds between two looks


class StalledTime:
    """A clock, and the waits for calls by it.

    Args:
        api: where calls are held, hang or trickle.
        within: waits for a call in real seconds.

    """

    def __init__(self, api: Simulator, within: Within) -> None:
        self.now = 0.0
        self._api = api
        self._within = within
        self._lock = Lock()
        self._ends: dict[Future[Any], float] = {}  # of the calls that are waited for: when their time-outs are over
        self._over: dict[Future[Any], frozenset[int]] = {}  # of those whose time is over, with all that stalled then

    def __call__(self) -> float:
        """Return the seconds that have passed."""
        return self.now

    def within(self, timeout: float | None, future: Future[Any], _: OnLate | None) -> Any:
        """Wait for a call; once it and all others have stalled, its time-out is over at once. No call is late."""
        with self._lock:
            self._ends[future] = self.now + (timeout or 0.0)
        try:
            while not wait([future], LOOK).done:
                with self._lock:
                    self._pass()
                    stalled = self._over.get(future)
                if stalled is not None:
                    return self._time_out(future, stalled)
            return self._within(timeout, future, None)
        finally:
            with self._lock:
                self._ends.pop(future, None)
                self._over.pop(future, None)

    def _pass(self) -> None:
        """Let the time go by for all calls, where none of them gets further by itself."""
        stalled = self._api.stalled
        # With more calls than waits, a wait is about to begin, or the API has yet to see that nobody waits for a call.
        if self._over or len(stalled) != len(self._ends):
            return
        self.now = max(self.now, *self._ends.values())
        self._over = dict.fromkeys(self._ends, stalled)

    def _time_out(self, future: Future[Any], stalled: frozenset[int]) -> Any:
        try:
            return self._within(0.0, future, None)
        finally:
            until(lambda: not self._api.stalled & stalled)  # the API sees a moment later that nobody waits


@contextmanager
def stalled_time(api: Simulator) -> Iterator[StalledTime]:
    """Within the block, let deadlines and the time-outs of calls be by this time alone."""
    with pytest.MonkeyPatch.context() as patch:
        time = StalledTime(api, event_loop._result_within)
        patch.setattr(event_loop, "_result_within", time.within)
        for module in (runtime, plugin):
            patch.setattr(module, "Deadline", partial(Deadline, clock=time))
        yield time
