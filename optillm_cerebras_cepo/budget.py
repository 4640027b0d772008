"""How much a request may still spend: calls, each try counted, and tokens.

A budget is to calls and tokens what a deadline is to time. What the answer will need can be held, so that the steps
before it leave that much; a call takes its share before it goes out, and gives back what it did not use.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import OutOfBudget

USEFUL = 256  # tokens of a reply below which a call is not worth making


@dataclass(frozen=True)
class Means:
    """What there is to spend, infinite where nothing limits it; `paced` are calls that the API lets through in time."""

    calls: float = math.inf
    tokens: float = math.inf
    seconds: float = math.inf
    paced: float = math.inf


@dataclass
class Share:
    """What one running call may take: so many tokens of reply; `spent` are those that it took, prompt included."""

    max_tokens: int
    spent: float


class Budget:
    """One request's calls and tokens, shared by all threads that work on it.

    Args:
        calls: how many it may make; None for no limit.
        tokens: how many its prompts and replies may take together; None for no limit.

    """

    def __init__(self, calls: int | None = None, tokens: int | None = None) -> None:
        self._calls, self._tokens = calls, tokens
        self._left_calls = math.inf if calls is None else calls
        self._left_tokens = math.inf if tokens is None else tokens
        self._held_calls = self._held_tokens = 0.0
        self._running = 0
        self._changed = threading.Condition()

    @property
    def whole(self) -> Budget:
        """The request's own budget."""
        return self

    @property
    def left(self) -> tuple[float, float]:
        """Calls and tokens that nobody holds and no running call may take."""
        with self._changed:
            return self._left_calls - self._held_calls, self._left_tokens - self._held_tokens

    @contextmanager
    def call(self, prompt: int, most: int, deadline: Deadline) -> Iterator[Share]:
        """Take what one call needs, for as long as this block runs.

        Where only running calls keep it from its tokens, their end is waited for. Where less is left than it asks for,
        but enough to be useful, it may take that.

        Args:
            prompt: tokens of its prompt, estimated.
            most: its limit of tokens.
            deadline: of the call.

        Raises:
            OutOfBudget: it cannot be made; nothing was taken.
            CepoError: what ended the request while it waited.

        """
        with self._spending(prompt, most, deadline, None) as share:
            yield share

    @contextmanager
    def _spending(self, prompt: int, most: int, deadline: Deadline, hold: Hold | None) -> Iterator[Share]:
        with self._changed:
            most = self._take(prompt, most, deadline, hold)
            self._running += 1
        share = Share(most, prompt + most)
        try:
            yield share
        except BaseException:
            share.spent = 0.0  # of a call that failed, the API tells no tokens
            raise
        finally:
            with self._changed:
                self._running -= 1
                self._left_tokens += prompt + most - share.spent
                self._changed.notify_all()

    @contextmanager
    def holding(self, calls: int, tokens: float) -> Iterator[Hold]:
        """Keep so much, or what is left of it, from everybody but those who spend from the hold."""
        hold = Hold(self)
        with self._changed:
            hold.calls = max(0.0, min(calls, self._left_calls - self._held_calls))
            hold.tokens = max(0.0, min(tokens, self._left_tokens - self._held_tokens))
            self._held_calls += hold.calls
            self._held_tokens += hold.tokens
        try:
            yield hold
        finally:
            with self._changed:
                self._release(hold)

    def _take(self, prompt: int, most: int, deadline: Deadline, hold: Hold | None) -> int:
        """Book a call, which has what is held for it; returns the tokens that its reply may take."""
        while True:
            others = (self._held_calls, self._held_tokens)
            if hold is not None:
                others = (self._held_calls - hold.calls, self._held_tokens - hold.tokens)
            if self._left_calls - others[0] < 1:
                raise OutOfBudget(_used_up("max_calls", self._calls, "calls", self._left_calls >= 1))
            room = self._left_tokens - others[1] - prompt
            if room < most and not self._running:
                if room < min(USEFUL, most):
                    raise OutOfBudget(_used_up("max_total_tokens", self._tokens, "tokens", others[1] > 0))
                most = int(room)
            if room >= most:
                if hold is not None:
                    self._release(hold)
                self._left_calls -= 1
                self._left_tokens -= prompt + most
                return most
            with deadline.on_end(self._wake):
                deadline.check()  # what ended before has woken nobody
                self._changed.wait(min(deadline.remaining, threading.TIMEOUT_MAX))
            deadline.check()

    def _release(self, hold: Hold) -> None:
        self._held_calls -= hold.calls
        self._held_tokens -= hold.tokens
        hold.calls = hold.tokens = 0.0
        self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Hold(Budget):
    """What is kept for one answer; see `Budget.holding`. The first call that is made with it has it, and the rest."""

    def __init__(self, of: Budget) -> None:
        super().__init__()
        self._of = of
        self.calls = self.tokens = 0.0

    @property
    def whole(self) -> Budget:
        """The budget that this is held from."""
        return self._of

    @property
    def left(self) -> tuple[float, float]:
        """What is held, and what the whole has left beside it."""
        calls, tokens = self._of.left
        return calls + self.calls, tokens + self.tokens

    @contextmanager
    def call(self, prompt: int, most: int, deadline: Deadline) -> Iterator[Share]:
        """Take what one call needs from the whole, of which nothing is held for it any longer."""
        with self._of._spending(prompt, most, deadline, self) as share:
            yield share


def _used_up(name: str, limit: int | None, unit: str, held: bool) -> str:
    rest = f"what is left of {limit} {unit} is kept for the answers" if held else f"the {limit} {unit} are used up"
    return f"{rest}; raise {name}, or lower the effort"


def unbounded() -> Budget:
    """A budget without limits."""
    return Budget()
