"""Admission: how many calls, and how many tokens, go out to an API, and whose call is next.

Each call waits until the API's limits, as far as they are known, have room for it, and until fewer calls are out than
the API bears. Served in the order in which they come, the calls of eight requests would finish all eight at the end.
Served by age, the first request is done when it could be, then the second, and the last is no later.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Step
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import QuotaExhausted, RateLimited
from optillm_cerebras_cepo.events import Observer, Waits
from optillm_cerebras_cepo.llm import limits
from optillm_cerebras_cepo.llm.base import ChatClient
from optillm_cerebras_cepo.llm.estimate import Estimates
from optillm_cerebras_cepo.llm.limits import Cost, Limits, Ticket, Wait
from optillm_cerebras_cepo.llm.line import Closed, Line, Rank
from optillm_cerebras_cepo.quota import Quota, unit_of

ORDER = {step: -place for place, step in enumerate(Step)}  # a later step finishes its request sooner
TOLD = 1.0  # seconds of a wait from which on the client hears of it
T = TypeVar("T")


class Books(Protocol):
    """Where the limits of one API, key and model are kept."""

    poll: float  # seconds after which others may have changed them; infinite where nobody else does

    def change(self, what: Callable[[Limits, float], tuple[Limits, T]], deadline: Deadline | None = None) -> T:
        """Replace the limits by what this makes of them and of the time, all at once. Safe for many threads.

        Raises what ended the deadline before it was done.
        """
        ...

    def note(self, what: Callable[[Limits, float], Limits], done: Callable[[float], object] = lambda _: None) -> None:
        """Do the same without waiting for it; `done` is called with the time at which it was done."""
        ...


Known = Callable[[float], Limits]  # what is known from the start, at a time
OpenBooks = Callable[[tuple[str, ...], Known], Books]


class LocalBooks:
    """The limits of one process."""

    poll = float("inf")

    def __init__(self, known: Known, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._limits = known(clock())

    def change(self, what: Callable[[Limits, float], tuple[Limits, T]], _: Deadline | None = None) -> T:
        """Replace the limits by what this makes of them."""
        with self._lock:
            self._limits, result = what(self._limits, self._clock())
            return result

    def note(self, what: Callable[[Limits, float], Limits], done: Callable[[float], object] = lambda _: None) -> None:
        """Replace the limits by what this makes of them."""
        done(self.change(lambda known, now: (what(known, now), now)))


class Gate:
    """What the calls to one API with one key and one model pass.

    Args:
        books: its limits.
        most: calls that may be out at once, at least 1. It is lowered when the API says that it is at its capacity, and
            raised again by one for as many replies as calls are out.

    """

    def __init__(self, books: Books, most: int) -> None:
        self._books = books
        self._most = most
        self._lock = threading.Lock()
        self._bears = float(most)
        self._out = 0
        self._lowered = float("-inf")
        self._line: Line[tuple[Cost, Deadline], Ticket, Wait] = Line(self._door)

    @property
    def bears(self) -> float:
        """Calls that the API is held to bear at once."""
        return self._bears

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return self._line.length

    def room(self, seconds: float, deadline: Deadline | None = None) -> float:
        """How many calls the limits let through in so many seconds, after those that wait already.

        Raises what ended the deadline before that was known.
        """
        let_through = self._books.change(lambda known, now: (known, limits.room(known, seconds, now)), deadline)
        return max(0.0, let_through - self.waiting)

    def enter(self, rank: Rank, cost: Cost, request: ChatRequest, observer: Observer) -> Ticket:
        """Wait until this call may go out.

        Raises:
            QuotaExhausted: a day's limit is used up.
            RateLimited: the wait would outlast the call's deadline.
            CepoError: what ended the call's deadline.

        """
        told = False

        def waits(wait: Wait) -> None:
            nonlocal told
            used_up = f"the limit of {_words(wait)} is used up"
            if wait.seconds >= request.deadline.remaining:
                message = f"{used_up} for {wait.seconds:.0f} s, longer than there is time; try again later"
                raise RateLimited(message, retry_after=wait.seconds)
            if wait.seconds >= TOLD and not told:
                told = True
                observer(Waits(request.label, wait.seconds, RateLimited(used_up)))

        return self._line.enter(rank, (cost, request.deadline), request.deadline, waits)

    def answered(self, ticket: Ticket, quota: Quota) -> None:
        """Learn from a reply, and let the next call out."""
        self._books.note(lambda known, now: limits.answered(known, ticket, quota, now))
        with self._lock:
            if self._out >= self._bears:
                self._bears = min(float(self._most), self._bears + 1 / self._bears)
        self._left()

    def refused(self, ticket: Ticket, window: str, quota: Quota) -> None:
        """Learn from a 429, and let the next call out when there is room again."""

        def lower(now: float) -> None:
            with self._lock:
                if not window and ticket.at > self._lowered:  # of calls that went out together one is enough
                    self._bears = max(1.0, min(self._bears, float(self._out)) / 2)
                    self._lowered = now

        self._books.note(lambda known, now: limits.refused(known, ticket, window, quota, now), lower)
        self._left()

    def failed(self) -> None:
        """Let the next call out after one that has no reply."""
        self._books.note(lambda known, _: limits.failed(known))
        self._left()

    def _left(self) -> None:
        with self._lock:
            self._out -= 1
        self._line.wake()

    def _door(self, asked: tuple[Cost, Deadline]) -> Ticket | Closed[Wait]:
        cost, deadline = asked
        with self._lock:
            if self._out >= int(self._bears):
                return Closed()
            self._out += 1
        answer: Ticket | Wait | None = None
        try:
            answer = self._books.change(lambda known, now: limits.admit(known, cost, now), deadline)
        finally:
            if not isinstance(answer, Ticket):
                with self._lock:
                    self._out -= 1
        if isinstance(answer, Ticket):
            return answer
        if unit_of(answer.window) == "day":
            message = f"the limit of {_words(answer)} is used up; the next call is possible in {answer.seconds:.0f} s"
            raise QuotaExhausted(message, retry_after=answer.seconds)
        return Closed(min(answer.seconds, self._books.poll), answer if answer.window else None)


def _words(wait: Wait) -> str:
    """A window's limit as one says it: `5 requests a minute`."""
    kind, _, unit = wait.window.partition("-")
    return f"{wait.limit:,.0f} {kind} {'an' if unit == 'hour' else 'a'} {unit}"


class Gates:
    """One gate for each API, key and model.

    Args:
        books: opens the books of one gate, given its name and what is known from the start.
        minute: seconds of a minute, fewer in compressed time.

    """

    kind: type[Gate] = Gate

    def __init__(self, books: OpenBooks, minute: float = 60.0) -> None:
        self._lock = threading.Lock()
        self._books = books
        self._minute = minute
        self._gates: dict[tuple[str, ...], Gate] = {}

    def of(self, api: tuple[str, str], model: str, most: int, own: Mapping[str, float]) -> Gate:
        """The gate of this model; made on first use, with the operator's numbers, which stay the same.

        Args:
            api: its address and key.
            model: the model's id.
            most: calls that may be out at once.
            own: the operator's limits, by window.

        """
        name = (*api, model)
        with self._lock:
            if name not in self._gates:
                books = self._books(name, lambda now: limits.limited(own, now, self._minute))
                self._gates[name] = self.kind(books, most)
            return self._gates[name]

    def clear(self) -> None:
        """Forget all that was learnt."""
        with self._lock:
            self._gates.clear()


class Pace:
    """Sends each call of one request through its model's gate; `age` is smaller the older the request is."""

    def __init__(
        self, inner: ChatClient, gate: Callable[[str], Gate], estimates: Estimates, age: int, observer: Observer
    ) -> None:
        self._inner = inner
        self._gate = gate
        self._estimates = estimates
        self._age = age
        self._observer = observer

    def complete(self, request: ChatRequest) -> Completion:
        """Answer when it is this call's turn. Raises what the gate and the inner client raise."""
        gate = self._gate(request.model)
        cost = Cost(1, self._estimates.of(request) + min(request.max_tokens, limits.MOST_CHARGED))
        ticket = gate.enter((self._age, ORDER[request.label.step]), cost, request, self._observer)
        left = request.deadline.remaining  # less than before the wait, for which the time-out was set
        timeout = left if request.timeout is None else min(request.timeout, left)
        try:
            shorter = request if timeout == request.timeout else replace(request, timeout=max(0.001, timeout))
            completion = self._inner.complete(shorter)
        except RateLimited as refusal:
            gate.refused(ticket, refusal.window, refusal.quota)
            raise
        except BaseException:
            gate.failed()
            raise
        gate.answered(ticket, completion.quota)
        return completion
