"""Trying a call again, within its request's deadline.

Whether an error is worth another try is the error's own `transient`; how long to wait is `wait_before`. The SDK's
retries are off: its whole patience with a rate limit is about 1.4 s, and two places that retry multiply.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from tenacity import RetryCallState, Retrying, retry_if_exception

from optillm_cerebras_cepo.chat import ChatRequest, Completion
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.events import Observer, Waits, ignore
from optillm_cerebras_cepo.llm.base import ChatClient


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently.

    Attributes:
        attempts: tries of one call, the first included.
        timeout: seconds that one try may take.
        first: seconds before the second try; each further wait doubles.
        most: seconds that no wait of ours exceeds. A wait that the API asks for may be longer.

    """

    attempts: int = 5
    timeout: float = 120.0
    first: float = 0.5
    most: float = 8.0


def wait_before(attempt: int, error: BaseException | None, policy: RetryPolicy, chance: float) -> float:
    """Seconds to wait after a failed try: what the API asked for, else doubling with the upper half left to chance.

    Args:
        attempt: number of the failed try, from 1.
        error: what it met.
        policy: the limits.
        chance: 0..1; equal waits of many calls would make them collide again.

    """
    if isinstance(error, CepoError) and error.retry_after is not None:
        return error.retry_after
    doubled: float = min(policy.first * 2 ** (attempt - 1), policy.most)
    return doubled * (1 + chance) / 2


def patiently(
    policy: RetryPolicy, deadline: Deadline, waiting: Callable[[float, CepoError], None] = lambda *_: None
) -> Retrying:
    """Return what calls a function again while its error is transient and there is time left to wait.

    `waiting` is told of each wait: its seconds, and the error before it.
    """

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        return wait_before(state.attempt_number, error, policy, random.random())

    def stop(state: RetryCallState) -> bool:
        # A wait that outlives the request would only delay its answer.
        return state.attempt_number >= policy.attempts or state.upcoming_sleep >= deadline.remaining

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, CepoError):
            waiting(state.upcoming_sleep, error)

    return Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, CepoError) and error.transient),
        stop=stop,
        wait=wait,
        before_sleep=tell,
        sleep=deadline.wait,
        reraise=True,
    )


class Retry:
    """Tries transient failures again; gives up when the attempts or the request's time are used up."""

    def __init__(self, inner: ChatClient, policy: RetryPolicy, observer: Observer = ignore) -> None:
        self._inner = inner
        self._policy = policy
        self._observer = observer

    def complete(self, request: ChatRequest) -> Completion:
        """Answer, or raise the last failure, or what ended the request."""

        def waiting(seconds: float, error: CepoError) -> None:
            self._observer(Waits(request.label, seconds, error))

        try:
            return patiently(self._policy, request.deadline, waiting)(self._try, request)
        except CepoError as error:
            if error.fatal:
                request.deadline.whole.end(error)  # the request's other calls would meet the same: none of them starts
            raise

    def _try(self, request: ChatRequest) -> Completion:
        request.deadline.check()
        timeout = max(0.001, min(self._policy.timeout, request.deadline.remaining))
        return self._inner.complete(replace(request, timeout=timeout))
