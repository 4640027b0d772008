"""Second calls for late ones: hedged requests (Dean and Barroso, The Tail at Scale, CACM 56(2), 2013).

A planned request waits for its slowest calls, and some calls of every service take many times as long as usual. A call
that is later than nearly all recent ones of its kind gets a second call; the first reply counts, and the other call is
cancelled. OptiLLM starts more attempts at plans than it needs to the same end, but always, and for plans only.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion, Label, Late
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import CepoError, Superseded
from optillm_cerebras_cepo.core.events import CallHedged, Observer
from optillm_cerebras_cepo.llm.metering import Ledger, RecentCalls, UsageTotals
from optillm_cerebras_cepo.llm.rate_limits.limiter import RateLimitedClient

KNOWN = 10  # calls of a kind before their durations are used
UNUSUAL = 3.0  # times the median: such a call is what a second one is for, and does not show what is usual
SHARE = 0.95  # of the usual calls that are not late
MARGIN = 1.5  # factor on their time: a second call for one that is about to be answered is wasted
SHORTEST = 0.1  # seconds; a second call that begins earlier saves nothing that a user notices
SHARE_OF_CALLS = 0.1  # most second calls, as a share of all calls
SAVED = 20.0  # most second calls at once, after many calls that needed none
PAUSE = 10.0  # seconds without second calls after a call failed: the API has enough to do
FASTER = "another call for the same was faster"


class HedgePolicy:
    """When a call is late, and whether it may have a second one. Outlives a request; safe for many threads.

    Args:
        clock: returns seconds, monotonic.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._durations = RecentCalls()
        self._lock = threading.Lock()
        self._saved = 0.0  # second calls that may be made
        self._failed_at = -math.inf

    def late_after(self, model: str, label: Label) -> float | None:
        """Return the seconds after which a call of this kind is late; None if too few calls are known."""
        seconds = sorted(self._durations.of(model, label))
        if len(seconds) < KNOWN:
            return None
        usual = bisect_right(seconds, UNUSUAL * seconds[len(seconds) // 2])
        return max(SHORTEST, MARGIN * seconds[ceil(SHARE * usual) - 1])

    def take(self) -> bool:
        """Take a second call from what is saved; return False if none may be made now."""
        with self._lock:
            if self._saved < 1 or self._clock() < self._failed_at + PAUSE:
                return False
            self._saved -= 1 - SHARE_OF_CALLS  # it is a call, too
            return True

    def give_back(self) -> None:
        """Return a second call that was not made."""
        with self._lock:
            self._saved += 1 - SHARE_OF_CALLS

    def on_reply(self, model: str, label: Label, seconds: float) -> None:
        """Remember how long a finished call took."""
        self._durations.record(model, label, seconds)

    def on_call(self) -> None:
        """Note a call, and save a part of a second one for it."""
        with self._lock:
            self._saved = min(SAVED, self._saved + SHARE_OF_CALLS)

    def on_failure(self) -> None:
        """Make no second calls for a while: the API limits, refuses or fails."""
        with self._lock:
            self._failed_at = self._clock()


@dataclass(frozen=True)
class Hedging:
    """Layer that makes a second call when a call is late, and returns the first reply.

    Calls of a request with a budget of calls or tokens have none: the budget is for calls that the answer needs. Nor
    has a reply that is streamed.

    Attributes:
        inner: makes the first call, which has its turn at the rate limiter already.
        second: makes the second call if the rate limiter has room for it at once.
        policy: says when a call is late.
        ledger: counts second calls.
        observer: is told of second calls.

    """

    inner: ChatClient
    second: RateLimitedClient
    policy: HedgePolicy
    ledger: Ledger
    observer: Observer

    def complete(self, request: ChatRequest) -> Completion:
        """Answer. Raises what the inner client raises."""
        self.policy.on_call()
        seconds = None
        if request.listener is None and request.budget.whole.remaining == (math.inf, math.inf):
            seconds = self.policy.late_after(request.model, request.label)
        if seconds is None:
            return self._timed(request, self.inner.complete)
        return _Race(self, request, seconds).run()

    def _timed(self, request: ChatRequest, send: Callable[[ChatRequest], Completion]) -> Completion:
        started = time.monotonic()
        try:
            completion = send(request)
        except CepoError as error:
            if error.retryable:  # a limit or a failure of the API, not an end or a fault of this request
                self.policy.on_failure()
            raise
        self.policy.on_reply(request.model, request.label, time.monotonic() - started)
        return completion


class _Race:
    """A call, and a second one if it is late."""

    def __init__(self, hedging: Hedging, request: ChatRequest, seconds: float) -> None:
        self._hedging = hedging
        self._request = request
        self._seconds = seconds
        self._second: tuple[threading.Thread, Deadline] | None = None
        self._reply: Completion | None = None  # to the second call

    def run(self) -> Completion:
        """Return the first reply; raise the first call's error if there is none."""
        first = replace(self._request, when_late=Late(self._seconds, self._begin_second))
        try:
            return self._hedging._timed(first, self._hedging.inner.complete)
        except CepoError:
            self._join_second()  # as long as it may take
            if self._reply is None:
                raise
            return self._reply
        finally:
            self._join_second(Superseded(FASTER))  # so that all is counted that was spent

    def _join_second(self, reason: CepoError | None = None) -> None:
        """Wait until there is no second call any more; end it first if there is a reason."""
        if self._second:
            thread, deadline = self._second
            if reason:
                deadline.end(reason)
            thread.join()

    def _begin_second(self, cancel_first: Callable[[CepoError], None]) -> None:
        """Make the second call on a thread of its own; the first call's thread waits for its reply."""
        if not self._hedging.policy.take():
            return
        deadline, name = self._request.deadline.part(), "cepo-cerebras-second-call"
        thread = threading.Thread(target=self._make_second, args=(deadline, cancel_first), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no thread left
            self._hedging.policy.give_back()
            return
        self._second = thread, deadline

    def _make_second(self, deadline: Deadline, cancel_first: Callable[[CepoError], None]) -> None:
        hedging, timeout = self._hedging, self._request.timeout
        left = None if timeout is None else max(0.001, timeout - self._seconds)
        request = replace(self._request, deadline=deadline, timeout=left)
        try:
            send = hedging.second.at_once(request)
            if send is None:
                hedging.policy.give_back()
                return
            hedging.ledger.add(request.label.step, request.model, UsageTotals(hedged=1))
            hedging.observer(CallHedged(request.label, self._seconds))
            self._reply = hedging._timed(request, send)
        except CepoError as error:
            if not error.sent:
                hedging.ledger.add(request.label.step, request.model, UsageTotals(hedged=-1))
            return  # the first call may still be answered
        cancel_first(Superseded(FASTER))
