"""Budget of one request: the calls it may make, retries included, and the tokens it may use.

The calls and tokens of the answer can be reserved, so that earlier steps do not use them. A call takes its prompt and
its whole token limit from the budget before it goes out, and returns what it did not use.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import OutOfBudget

MIN_USEFUL_TOKENS = 256  # of a reply; a call with a lower limit is not made, unless it asks for less


@dataclass(frozen=True)
class Resources:
    """Remaining calls, tokens and seconds; `inf` means unlimited.

    `rate_limit_calls` are the calls that the API's rate limits allow in the remaining seconds.
    """

    calls: float = math.inf
    tokens: float = math.inf
    seconds: float = math.inf
    rate_limit_calls: float = math.inf


@dataclass
class CallAllowance:
    """What one running call may use.

    `max_tokens` limits its reply. `spent` are the tokens that it used, prompt included; the caller sets them.
    """

    max_tokens: int
    spent: float


class Budget:
    """Calls and tokens of one request. Safe for many threads.

    Args:
        calls: None for no limit.
        tokens: of all prompts and replies together; None for no limit.
        tokens_setting: the setting that limits the tokens, for errors.

    """

    def __init__(
        self, calls: int | None = None, tokens: int | None = None, tokens_setting: str = "max_total_tokens"
    ) -> None:
        self._tokens_setting = tokens_setting
        self._max_calls, self._max_tokens = calls, tokens
        self._calls = math.inf if calls is None else calls
        self._tokens = math.inf if tokens is None else tokens
        self._reserved_calls = self._reserved_tokens = 0.0  # by all reservations
        self.calls = self.tokens = 0.0  # that this holds, if it is a reservation
        self._running = 0
        self._changed = threading.Condition()

    @property
    def whole(self) -> Budget:
        """The request's budget."""
        return self

    @property
    def remaining(self) -> tuple[float, float]:
        """Calls and tokens that are neither reserved nor taken by a running call."""
        with self._changed:
            return self._calls - self._reserved_calls, self._tokens - self._reserved_tokens

    def call(self, prompt_tokens: int, max_tokens: int, deadline: Deadline) -> AbstractContextManager[CallAllowance]:
        """Take one call and its tokens while this block runs. A reservation is released by its first call.

        If running calls hold the missing tokens, wait until they end. If fewer tokens remain than its limit, but enough
        to be useful, lower the limit.

        Args:
            prompt_tokens: estimated.
            max_tokens: limit of its reply.
            deadline: of the call.

        Raises:
            OutOfBudget: the call cannot be made; nothing was taken.
            CepoError: what ended the deadline.

        """
        return self.whole._spend(prompt_tokens, max_tokens, deadline, self)

    @contextmanager
    def reserve(self, calls: int, tokens: float) -> Iterator[Reservation]:
        """Reserve this much, or what remains of it, for calls that are made with the reservation."""
        reservation = Reservation(self)
        with self._changed:
            reservation.calls = max(0.0, min(calls, self._calls - self._reserved_calls))
            reservation.tokens = max(0.0, min(tokens, self._tokens - self._reserved_tokens))
            self._reserved_calls += reservation.calls
            self._reserved_tokens += reservation.tokens
        try:
            yield reservation
        finally:
            with self._changed:
                self._release(reservation)

    @contextmanager
    def _spend(self, prompt_tokens: int, max_tokens: int, deadline: Deadline, payer: Budget) -> Iterator[CallAllowance]:
        with self._changed:
            max_tokens = self._take(prompt_tokens, max_tokens, deadline, payer)
            self._running += 1
        allowance = CallAllowance(max_tokens, prompt_tokens + max_tokens)
        try:
            yield allowance
        except BaseException:
            allowance.spent = 0.0  # the API states no tokens for a failed call
            raise
        finally:
            with self._changed:
                self._running -= 1
                self._tokens += prompt_tokens + max_tokens - allowance.spent
                self._changed.notify_all()

    def _take(self, prompt_tokens: int, max_tokens: int, deadline: Deadline, payer: Budget) -> int:
        """Take a call and its tokens, with what `payer` has reserved; return the limit of its reply."""
        while True:
            calls, tokens = self._reserved_calls - payer.calls, self._reserved_tokens - payer.tokens  # for others
            if self._calls - calls < 1:
                raise OutOfBudget(_message("max_calls", self._max_calls, "calls", self._calls >= 1))
            available = self._tokens - tokens - prompt_tokens
            if available < max_tokens and not self._running:
                if available < min(MIN_USEFUL_TOKENS, max_tokens):
                    raise OutOfBudget(_message(self._tokens_setting, self._max_tokens, "tokens", tokens > 0))
                max_tokens = int(available)
            if available >= max_tokens:
                self._release(payer)
                self._calls -= 1
                self._tokens -= prompt_tokens + max_tokens
                return max_tokens
            with deadline.on_end(self._wake):
                deadline.check()  # an end before `on_end` woke nobody
                self._changed.wait(min(deadline.remaining, threading.TIMEOUT_MAX))
            deadline.check()

    def _release(self, reservation: Budget) -> None:
        self._reserved_calls -= reservation.calls
        self._reserved_tokens -= reservation.tokens
        reservation.calls = reservation.tokens = 0.0
        self._changed.notify_all()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Reservation(Budget):
    """Calls and tokens that are reserved for one answer; see `Budget.reserve`. Its first call releases all of it."""

    def __init__(self, whole: Budget) -> None:
        super().__init__()
        self._whole = whole

    @property
    def whole(self) -> Budget:
        """The budget that this is reserved from."""
        return self._whole

    @property
    def remaining(self) -> tuple[float, float]:
        """What is reserved, and what else remains of the whole budget."""
        calls, tokens = self._whole.remaining
        return calls + self.calls, tokens + self.tokens


def _message(setting: str, limit: int | None, unit: str, reserved: bool) -> str:
    reason = (
        f"the rest of the {limit} {unit} is reserved for the answers" if reserved else f"all {limit} {unit} are used"
    )
    return f"{reason}; raise {setting}, or lower the effort"
