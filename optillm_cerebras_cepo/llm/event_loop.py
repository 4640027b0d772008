"""One thread for all network traffic, so that any thread can cancel a call in flight.

A blocking call cannot be cancelled: its socket belongs to the thread that reads it. Cancelling a task on an event loop
closes its connection, and the API stops generating.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout  # the builtin one only from Python 3.11 on
from functools import partial
from typing import Any, TypeVar, cast

from optillm_cerebras_cepo.core.chat import Late
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import ApiTimeout, CepoError, Ended

T = TypeVar("T")
OnLate = tuple[float, Callable[[], None]]  # what to do after so many seconds

THREAD = "cepo-cerebras-network"

logger = logging.getLogger("optillm_cerebras_cepo")


class EventLoop:
    """Event loop on a daemon thread, which the first call starts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(
        self,
        work: Coroutine[Any, Any, T],
        deadline: Deadline | None = None,
        timeout: float | None = None,
        late: Late | None = None,
    ) -> T:
        """Return the work's result; cancel it when the deadline or the time-out ends before.

        Args:
            work: to run on the loop.
            deadline: of the request.
            timeout: seconds for all of the work, whether or not bytes arrive; None for no limit.
            late: what to do meanwhile if the result is late.

        Raises what the work raises, what ended the deadline, or ApiTimeout.
        """
        deadline = deadline or Deadline()
        try:
            deadline.check()
            loop = self._start()
        except BaseException:
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(_as_value(work), loop)
        limit = min(deadline.remaining, math.inf if timeout is None else timeout)
        cancelled: list[CepoError] = []

        def cancel(reason: CepoError) -> None:
            cancelled.append(reason)
            future.cancel()

        on_late = (late.seconds, partial(late.act, cancel)) if late else None
        try:
            with deadline.on_end(future.cancel):
                result, error = _result_within(None if math.isinf(limit) else limit, future, on_late)
        except (CancelledError, ApiTimeout) as ended:
            deadline.check()
            if cancelled:
                raise cancelled[0] from None
            if isinstance(ended, ApiTimeout):
                raise
            raise Ended("the call was cancelled") from None
        if error is not None:
            try:
                raise error
            finally:
                del error, future  # otherwise the traceback and this frame would keep each other alive
        return cast(T, result)

    def _start(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                try:
                    threading.Thread(target=_serve, args=(loop,), name=THREAD, daemon=True).start()
                except RuntimeError:  # the system cannot start a thread now: the next call tries again
                    loop.close()
                    raise
                self._loop = loop
            return self._loop


def _result_within(timeout: float | None, future: Future[T], on_late: OnLate | None) -> T:
    """Return the future's result; cancel the future and raise ApiTimeout if the time is over before."""
    left = timeout
    if on_late is not None and (timeout is None or on_late[0] < timeout):
        seconds, act = on_late
        try:
            return future.result(seconds)
        except FutureTimeout:
            act()
        left = None if timeout is None else timeout - seconds
    try:
        return future.result(left)
    except FutureTimeout:
        if not future.cancel():  # it has just finished
            return future.result()
        raise ApiTimeout(f"the Cerebras API did not answer within {timeout:.3g} s") from None


async def _as_value(work: Coroutine[Any, Any, T]) -> tuple[T | None, BaseException | None]:
    """Return the result or the error as a value.

    asyncio would log the error of a cancelled call, which nobody reads, and stop the loop for a SystemExit.
    """
    try:
        return await work, None
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        return None, error


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop as long as the process lives: if it stopped, all calls and the exit would wait for ever."""
    while not loop.is_closed():
        try:
            loop.run_forever()
        except BaseException as error:  # noqa: PERF203 - a SystemExit of a callback, never of a call
            logger.error("cepo_cerebras: the network thread continues after a defect: %s", type(error).__name__)
