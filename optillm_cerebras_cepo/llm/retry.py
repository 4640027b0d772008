"""Trying a call again, within its request's deadline.

Whether an error is worth another try is the error's own `transient`; how long to wait is `wait_before`. Whatever the
API says, the waits of one call grow, so its tries come at a bounded rate. The SDK's retries are off: its whole patience
with a rate limit is about 1.4 s, and two places that retry multiply.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tenacity import RetryCallState, Retrying, retry_if_exception

from optillm_cerebras_cepo.chat import ChatRequest, Completion
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import CepoError, Ends, RateLimited, UnusableReply
from optillm_cerebras_cepo.events import Observer, Waits, ignore
from optillm_cerebras_cepo.llm.base import ChatClient
from optillm_cerebras_cepo.llm.limits import tells

DOUBLINGS = 50  # beyond every limit, and not yet beyond a float
START_SECONDS = 15.0  # that a try may take beside its tokens: connecting, the API's queue, reading the prompt


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently.

    Attributes:
        attempts: tries of one call, the first included. Those that met a rate limit do not count: they end with the
            request's time.
        timeout: seconds that one try may take at most.
        min_tokens_per_second: a reply that comes more slowly is given up.
        first: seconds before the second try; each further wait doubles.
        most: seconds that no wait of ours exceeds. A wait that the API asks for may be longer.
        time_scale: by how much waits of ours are shortened, where an API's seconds pass faster than real ones.

    """

    attempts: int = 5
    timeout: float = 120.0
    min_tokens_per_second: float = 50.0
    first: float = 0.5
    most: float = 8.0
    time_scale: float = 1.0


def time_for(request: ChatRequest, policy: RetryPolicy) -> float:
    """Seconds that one try of this call may take: as long as a slow reply of all its tokens would."""
    return min(policy.timeout, START_SECONDS + request.max_tokens / policy.min_tokens_per_second)


def wait_before(attempt: int, error: BaseException | None, policy: RetryPolicy, chance: float) -> float:
    """Seconds to wait after a failed try: doubling, with the upper half left to chance, or longer if the API asks.

    The API's `Retry-After` can only lengthen the wait: an API that always says 0 would otherwise be called without end.
    A first refusal for a limit that the rate limiter knows is waited for there (`pace.py`). A further one says that the
    limiter is wrong about the limit, so it waits here too.

    Args:
        attempt: number of the failed try, from 1; those that met a rate limit are counted apart from the others.
        error: what it met.
        policy: the limits.
        chance: 0..1; equal waits of many calls would make them collide again.

    """
    asked = error.retry_after if isinstance(error, CepoError) and error.retry_after is not None else None
    if isinstance(error, RateLimited) and asked is None and tells(error.window, error.quota):
        attempt -= 1
    if attempt < 1:
        return 0.0
    doubled: float = min(policy.first * 2 ** min(attempt - 1, DOUBLINGS), policy.most)
    return max(asked or 0.0, doubled * (1 + chance) / 2 / policy.time_scale)


def patiently(
    policy: RetryPolicy, deadline: Deadline, waiting: Callable[[float, CepoError], None] = lambda *_: None
) -> Callable[..., Any]:
    """Return what calls a function again while its error is transient and there is time left to wait; for one call.

    `waiting` is told of each wait: its seconds, and the error before it.
    """
    failed: Counter[bool] = Counter()  # tries so far that did, by whether it was for a rate limit

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        limited = isinstance(error, RateLimited)
        failed[limited] += 1
        return wait_before(failed[limited], error, policy, random.random())

    def stop(state: RetryCallState) -> bool:
        # A wait that outlives the request would only delay its answer.
        return failed[False] >= policy.attempts or state.upcoming_sleep >= deadline.remaining

    def tell(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, CepoError):
            waiting(state.upcoming_sleep, error)

    def call(work: Callable[..., Any], *arguments: object) -> Any:
        try:
            # By itself: few calls need another try, and to make ready for one takes as long as the layers below it.
            return work(*arguments)
        except CepoError as error:
            if not error.transient:
                raise
            met = [error]

        def again() -> Any:
            if met:
                raise met.pop()
            return work(*arguments)

        # OptiLLM's defect: no_error_of_cerebras_is_caught
        retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, CepoError) and error.transient),
            stop=stop,
            wait=wait,
            before_sleep=tell,
            sleep=deadline.wait,
            reraise=True,
        )
        try:
            return retrying(again)
        finally:
            retrying.iter_state.reset()  # methods of its own, and so a circle that would hold the request

    return call


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
            completion: Completion = patiently(self._policy, request.deadline, waiting)(self._try, request)
            return completion
        except CepoError as error:
            # The calls that would meet the same do not start.
            if error.ends is Ends.REQUEST:
                request.deadline.whole.end(error)
            elif error.ends is Ends.MODEL:
                (request.model_deadline or request.deadline.whole).end(error)
            raise

    def _try(self, request: ChatRequest) -> Completion:
        request.deadline.check()
        timeout = max(0.001, min(time_for(request, self._policy), request.deadline.remaining))
        completion = self._inner.complete(replace(request, timeout=timeout))
        if _says_nothing(completion) and not (request.listener and (completion.text or completion.reasoning)):
            raise UnusableReply("the API answered with an empty reply")
        return completion


def _says_nothing(completion: Completion) -> bool:
    """Whether a whole reply is empty; one that was cut would be cut again."""
    cut = completion.finish_reason in ("length", "content_filter")
    return not (cut or completion.answer or completion.tool_calls)
