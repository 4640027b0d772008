"""Rate limiter of one API, key and model: how many calls and tokens go out, and which call is next.

A call waits until the known limits have room for it, and until fewer calls are in flight than the API can take. Calls
are served by the age of their request. In order of arrival, the calls of eight requests would finish all eight
requests at the end; by age, the first request finishes as early as possible, and the last one not later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeVar

from optillm_cerebras_cepo.core.chat import QUEUED_TIERS, ChatClient, ChatRequest, Completion, Step
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import QuotaExhausted, RateLimited
from optillm_cerebras_cepo.core.events import CallDelayed, Observer
from optillm_cerebras_cepo.core.rate_limit_headers import Quota, unit_of
from optillm_cerebras_cepo.llm.context_window import TokenEstimates
from optillm_cerebras_cepo.llm.rate_limits import windows
from optillm_cerebras_cepo.llm.rate_limits.limits import Cost, Limits, Permit, Wait
from optillm_cerebras_cepo.llm.rate_limits.priority_queue import Blocked, Priority, PriorityQueue

STEP_PRIORITY = {step: -number for number, step in enumerate(Step)}  # a later step finishes its request sooner
SPARE_ROOM = 32  # calls that the limits must have room for before one is made that may not be needed
MIN_REPORTED_WAIT = 1.0  # seconds; shorter waits are not reported to the observer
T = TypeVar("T")
InitialLimits = Callable[[float], Limits]  # returns the limits before the first reply, for the current time


class LimitStore(Protocol):
    """Storage of the limits of one API, key and model."""

    poll_seconds: float  # after which other processes may have changed the limits; infinite for one process

    def update(self, change: Callable[[Limits, float], tuple[Limits, T]], deadline: Deadline | None = None) -> T:
        """Replace the limits atomically and return the change's result. Safe for many threads.

        `change` is called with the limits and the time, perhaps more than once. Raises what ended the deadline.
        """
        ...

    def update_later(
        self, change: Callable[[Limits, float], Limits], done: Callable[[float], object] = lambda _: None
    ) -> None:
        """Replace the limits without waiting for it; `done` is called with the time of the change."""
        ...


class LocalLimitStore:
    """Limits of one process."""

    poll_seconds = float("inf")

    def __init__(self, initial: InitialLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._limits = initial(clock())

    def update(self, change: Callable[[Limits, float], tuple[Limits, T]], _: Deadline | None = None) -> T:
        """Replace the limits and return the change's result."""
        with self._lock:
            self._limits, result = change(self._limits, self._clock())
            return result

    def update_later(
        self, change: Callable[[Limits, float], Limits], done: Callable[[float], object] = lambda _: None
    ) -> None:
        """Replace the limits at once, and call `done`."""
        done(self.update(lambda limits, now: (change(limits, now), now)))


class RateLimiter:
    """Rate limiter for calls to one API with one key and one model.

    At most `concurrency` calls, at least 1, are in flight at once. `max_concurrency`, the number at present, is halved
    when the API reports that it lacks capacity. Then it rises by one whenever as many replies have arrived as calls may
    be in flight.
    """

    def __init__(self, store: LimitStore, concurrency: int) -> None:
        self._store = store
        self._configured_concurrency = concurrency
        self._lock = threading.Lock()
        self.max_concurrency = float(concurrency)
        self._in_flight = 0
        self._lowered_at = float("-inf")
        self._queue: PriorityQueue[tuple[Cost, Deadline], Permit, Wait] = PriorityQueue(self._try_acquire)

    @property
    def waiting(self) -> int:
        """Number of calls that wait."""
        return self._queue.waiting

    def calls_within(self, seconds: float, deadline: Deadline | None = None) -> float:
        """Return how many calls the limits allow in so many seconds, after the calls that wait already.

        Raises what ended the deadline.
        """
        calls = self._store.update(lambda limits, now: (limits, windows.calls_within(limits, seconds, now)), deadline)
        return max(0.0, calls - self.waiting)

    def acquire(self, priority: Priority, cost: Cost, request: ChatRequest, observer: Observer) -> Permit:
        """Wait until this call may go out.

        Raises:
            QuotaExhausted: a day's limit is used up.
            RateLimited: the wait would exceed the call's deadline.
            CepoError: what ended the call's deadline.

        """
        reported = False

        def on_blocked(wait: Wait) -> None:
            nonlocal reported
            used_up = _used_up(wait)
            if wait.seconds >= request.deadline.remaining:
                message = f"{used_up} for {wait.seconds:.0f} s, longer than the time left; try again later"
                raise RateLimited(message, retry_after=wait.seconds)
            if wait.seconds >= MIN_REPORTED_WAIT and not reported:
                reported = True
                observer(CallDelayed(request.label, wait.seconds, RateLimited(used_up)))

        return self._queue.acquire(priority, (cost, request.deadline), request.deadline, on_blocked)

    def acquire_at_once(self, cost: Cost, deadline: Deadline) -> Permit | None:
        """Return a permit if no call waits and the limits have room for `SPARE_ROOM` such calls; else None.

        Raises what ended the deadline.
        """
        room = Cost(cost.requests * SPARE_ROOM, cost.tokens * SPARE_ROOM)
        if self.waiting or not self._store.update(
            lambda limits, now: (limits, windows.has_room(limits, room, now)), deadline
        ):
            return None
        answer = self._try_acquire((cost, deadline))
        return answer if isinstance(answer, Permit) else None

    def on_reply(self, permit: Permit, quota: Quota) -> None:
        """Learn from a reply, and let the next call out."""
        self._store.update_later(lambda limits, now: windows.record_reply(limits, permit, quota, now))
        with self._lock:
            if self._in_flight >= self.max_concurrency:
                raised = self.max_concurrency + 1 / self.max_concurrency
                self.max_concurrency = min(float(self._configured_concurrency), raised)
        self._release()

    def on_refusal(self, permit: Permit, window: str, quota: Quota) -> None:
        """Learn from a 429, and let the next call out when there is room again."""

        def lower_concurrency(now: float) -> None:
            with self._lock:
                if not window and permit.at > self._lowered_at:  # once for calls that went out together
                    self.max_concurrency = max(1.0, min(self.max_concurrency, float(self._in_flight)) / 2)
                    self._lowered_at = now

        self._store.update_later(
            lambda limits, now: windows.record_refusal(limits, permit, window, quota, now), lower_concurrency
        )
        self._release()

    def on_failure(self) -> None:
        """Let the next call out after a call without a reply."""
        self._store.update_later(lambda limits, _: windows.record_failure(limits))
        self._release()

    def _release(self) -> None:
        with self._lock:
            self._in_flight -= 1
        self._queue.notify()

    def _try_acquire(self, request: tuple[Cost, Deadline]) -> Permit | Blocked[Wait]:
        cost, deadline = request
        with self._lock:
            if self._in_flight >= int(self.max_concurrency):
                return Blocked()
            self._in_flight += 1
        answer: Permit | Wait | None = None
        try:
            answer = self._store.update(lambda limits, now: windows.admit(limits, cost, now), deadline)
        finally:
            if not isinstance(answer, Permit):
                with self._lock:
                    self._in_flight -= 1
        if isinstance(answer, Permit):
            return answer
        if unit_of(answer.window) == "day":
            message = f"{_used_up(answer)}; the next call is possible in {answer.seconds:.0f} s"
            raise QuotaExhausted(message, retry_after=answer.seconds)
        return Blocked(min(answer.seconds, self._store.poll_seconds), answer if answer.window else None)


def _used_up(wait: Wait) -> str:
    """Return, for example, `the limit of 5 requests a minute is used up`."""
    kind, _, unit = wait.window.rpartition("-")
    return (
        f"the limit of {wait.limit:,.0f} {kind.replace('-', ' ')} {'an' if unit == 'hour' else 'a'} {unit} is used up"
    )


def limits_name(model: str, tier: str | None) -> str:
    """Return the name of the limits that calls of this model and service tier count against.

    Calls of tier `flex` have limits of their own, several times those of the model. Which limits a call of tier `auto`
    counts against is only known afterwards, so that its limits are learned separately too.
    Source: inference-docs.cerebras.ai/capabilities/service-tiers.
    """
    return f"{model} {tier}" if tier in QUEUED_TIERS else model


def _limits_of(request: ChatRequest) -> str:
    return limits_name(request.model, request.options.get("service_tier"))


@dataclass(frozen=True)
class RateLimitedClient:
    """Layer that sends each call of one request through its model's rate limiter.

    Attributes:
        inner: makes the calls.
        limiter: returns the rate limiter for a name of `limits_name`.
        estimates: of the prompts' tokens.
        age: number of the request; older requests have smaller numbers.
        observer: is told of long waits.

    """

    inner: ChatClient
    limiter: Callable[[str], RateLimiter]
    estimates: TokenEstimates
    age: int
    observer: Observer

    def complete(self, request: ChatRequest) -> Completion:
        """Answer when it is this call's turn. Raises what the limiter and the inner client raise."""
        limiter = self.limiter(_limits_of(request))
        priority = (self.age, STEP_PRIORITY[request.label.step])
        permit = limiter.acquire(priority, self._cost(request), request, self.observer)
        return self._send(limiter, permit, request)

    def at_once(self, request: ChatRequest) -> Callable[[ChatRequest], Completion] | None:
        """Return what makes this call if it may go out at once and no other needs the room; it must be called."""
        limiter = self.limiter(_limits_of(request))
        permit = limiter.acquire_at_once(self._cost(request), request.deadline)
        return partial(self._send, limiter, permit) if permit else None

    def _cost(self, request: ChatRequest) -> Cost:
        return Cost(1, self.estimates.prompt_tokens(request) + min(request.max_tokens, windows.MAX_CHARGED_REPLY))

    def _send(self, limiter: RateLimiter, permit: Permit, request: ChatRequest) -> Completion:
        remaining = request.deadline.remaining  # the time-out was set before the wait
        timeout = remaining if request.timeout is None else min(request.timeout, remaining)
        try:
            limited = request if timeout == request.timeout else replace(request, timeout=max(0.001, timeout))
            completion = self.inner.complete(limited)
        except RateLimited as refusal:
            limiter.on_refusal(permit, refusal.window, refusal.quota)
            raise
        except BaseException:
            limiter.on_failure()
            raise
        limiter.on_reply(permit, completion.quota)
        return completion
