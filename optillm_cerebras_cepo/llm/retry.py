"""Retry calls within their request's deadline.

`CepoError.retryable` says whether an error is worth a retry, and `wait_before` how long to wait for it. The waits of
one call grow whatever the API answers, so its attempts come at a bounded rate. The SDK's own retries are off: they end
a rate limit after about 1.4 s, and retries in two places multiply.

If a model answers none of a request's calls (`Outage`), none of them is retried further.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception

from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import (
    ApiTimeout,
    ApiUnavailable,
    ApiUnreachable,
    CepoError,
    ErrorScope,
    RateLimited,
    UnusableReply,
)
from optillm_cerebras_cepo.core.events import CallDelayed, Observer, ignore
from optillm_cerebras_cepo.llm.rate_limits.windows import wait_is_known

T = TypeVar("T")
OUTAGE = (ApiUnavailable, ApiUnreachable, ApiTimeout)  # errors that every call would meet


class Outage:
    """Detection for one request and one model. Thread-safe.

    Args:
        attempts: of one call.

    Attributes:
        is_certain: whether a call has used up its attempts while every other call under way failed at least once, and
            no attempt has been answered since.

    """

    def __init__(self, attempts: int) -> None:
        self.is_certain = False
        self._attempts = attempts
        self._lock = threading.Lock()
        self._calls = 0  # under way
        self._failures = 0  # attempts since the last answer

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count a call as under way while this block runs."""
        with self._lock:
            self._calls += 1
        try:
            yield
        except OUTAGE:
            with self._lock:
                others = self._calls - 1
                self.is_certain = self.is_certain or self._failures >= self._attempts + others
            raise
        finally:
            with self._lock:
                self._calls -= 1

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Count the attempt in this block as answered or failed. Errors of other kinds count as neither."""
        try:
            yield
        except OUTAGE:
            with self._lock:
                self._failures += 1
            raise
        with self._lock:
            self._failures, self.is_certain = 0, False


MAX_DOUBLINGS = 50  # beyond every limit, and a float still holds the result
START_SECONDS = 15.0  # of an attempt besides its tokens: connecting, the API's queue, reading the prompt


@dataclass(frozen=True)
class RetryPolicy:
    """Limits of retries.

    Attributes:
        attempts: of one call, the first included. Attempts that met a rate limit do not count; only the request's time
            limits them.
        timeout: most seconds of one attempt.
        min_tokens_per_second: a slower reply is cancelled.
        first_wait: seconds before the second attempt; each further wait doubles.
        max_wait: most seconds of a wait, unless the API asks for more.
        time_scale: factor by which our waits are shortened where an API's seconds are shorter than real ones.

    """

    attempts: int = 5
    timeout: float = 120.0
    min_tokens_per_second: float = 50.0
    first_wait: float = 0.5
    max_wait: float = 8.0
    time_scale: float = 1.0


def attempt_timeout(request: ChatRequest, policy: RetryPolicy) -> float:
    """Return the seconds that one attempt may take: as long as a slow reply with all its tokens."""
    return min(policy.timeout, START_SECONDS + request.max_tokens / policy.min_tokens_per_second)


def wait_before(attempt: int, error: BaseException | None, policy: RetryPolicy, jitter: float) -> float:
    """Return the seconds to wait after a failed attempt: doubling, with random jitter in the upper half.

    `Retry-After` can only lengthen the wait: an API that always sends 0 would otherwise be called without end. After a
    first refusal for a limit that the rate limiter knows, the limiter waits (`rate_limits/`). A further refusal shows
    that the limiter is wrong, so the call waits here as well.

    Args:
        attempt: number of the failed attempt, from 1; those that met a rate limit are counted separately.
        error: of the attempt.
        policy: limits of the waits.
        jitter: 0..1; with equal waits, calls that failed together would collide again.

    """
    retry_after = error.retry_after if isinstance(error, CepoError) and error.retry_after is not None else None
    if isinstance(error, RateLimited) and retry_after is None and wait_is_known(error.window, error.quota):
        attempt -= 1
    if attempt < 1:
        return 0.0
    doubled: float = min(policy.first_wait * 2 ** min(attempt - 1, MAX_DOUBLINGS), policy.max_wait)
    return max(retry_after or 0.0, doubled * (1 + jitter) / 2 / policy.time_scale)


def with_retries(
    work: Callable[[], T],
    policy: RetryPolicy,
    deadline: Deadline,
    on_wait: Callable[[float, CepoError], None] = lambda *_: None,
    gives_up: Callable[[], bool] = lambda: False,
) -> T:
    """Return what `work` returns; repeat it while its error is retryable and there is time.

    `on_wait` is called before each wait with its seconds and the error. After an error that is no rate limit,
    `gives_up` returns whether to stop.
    """
    try:
        # The first attempt needs no Retrying: to build one takes as long as all layers below.
        return work()
    except CepoError as error:
        if not error.retryable:
            raise
        first_error = [error]
    failures: Counter[bool] = Counter()  # by whether the error was a rate limit

    def attempt() -> T:
        if first_error:
            raise first_error.pop()
        return work()

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        limited = isinstance(error, RateLimited)
        failures[limited] += 1
        return wait_before(failures[limited], error, policy, random.random())

    def stop(state: RetryCallState) -> bool:
        # A wait beyond the deadline would only delay the request's answer.
        used_up = failures[False] >= policy.attempts or (failures[False] > 0 and gives_up())
        return used_up or state.upcoming_sleep >= deadline.remaining

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, CepoError):
            on_wait(state.upcoming_sleep, error)

    # OptiLLM's defect: no_error_of_cerebras_is_caught
    retrying = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, CepoError) and error.retryable),
        stop=stop,
        wait=wait,
        before_sleep=before_sleep,
        sleep=deadline.wait,
        reraise=True,
    )
    try:
        return retrying(attempt)
    finally:
        retrying.iter_state.reset()  # breaks a reference cycle that would keep the request alive


class Retry:
    """Layer that retries failed calls until the attempts or the request's time are used up.

    In an outage each further call gets one attempt, until one is answered: another hundred retries would
    only delay the error.
    """

    def __init__(self, inner: ChatClient, policy: RetryPolicy, observer: Observer = ignore) -> None:
        self._inner = inner
        self._policy = policy
        self._observer = observer
        self._outages: dict[str, Outage] = {}  # by model

    def complete(self, request: ChatRequest) -> Completion:
        """Answer. Raise the last failure, or what ended the request."""
        outage = self._outages.setdefault(request.model, Outage(self._policy.attempts))
        try:
            with outage.call():
                return with_retries(
                    partial(self._attempt, outage, request),
                    self._policy,
                    request.deadline,
                    lambda seconds, error: self._observer(CallDelayed(request.label, seconds, error)),
                    lambda: outage.is_certain,
                )
        except CepoError as error:
            # Calls that would fail in the same way are not started.
            if error.scope is ErrorScope.REQUEST:
                request.deadline.whole.end(error)
            elif error.scope is ErrorScope.MODEL:
                (request.model_deadline or request.deadline.whole).end(error)
            raise

    def _attempt(self, outage: Outage, request: ChatRequest) -> Completion:
        request.deadline.check()
        timeout = max(0.001, min(attempt_timeout(request, self._policy), request.deadline.remaining))
        with outage.attempt():
            completion = self._inner.complete(replace(request, timeout=timeout))
        streamed = request.listener and (completion.text or completion.reasoning)
        cut = completion.finish_reason in ("length", "content_filter")  # and would be cut again
        if not (streamed or cut or completion.answer or completion.tool_calls):
            raise UnusableReply("the API answered with an empty reply")
        return completion
