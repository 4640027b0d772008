"""One thread for all network traffic, so that a call in flight can be given up from any other thread.

A blocking call can only be waited out: the socket belongs to the thread that reads it. A task on an event loop can be
cancelled, which closes its connection, and the API stops generating for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as TimeIsUp  # the builtin one only from Python 3.11 on
from contextlib import nullcontext
from typing import Any, TypeVar, cast

from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import ApiTimeout, CepoError, Ended

T = TypeVar("T")

THREAD = "cepo-cerebras-network"

logger = logging.getLogger("optillm_cerebras_cepo")


class Loop:
    """An event loop on a daemon thread of its own, started on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, T], deadline: Deadline | None = None, timeout: float | None = None) -> T:
        """Wait for the work's result; when the request or the time-out ends before it, the work is cancelled.

        Args:
            work: what to do on the loop.
            deadline: of the request that it is done for.
            timeout: seconds that all of it may take, however many bytes come meanwhile; None for no limit.

        Raises what the work raises, what ended the request, or ApiTimeout.
        """
        if deadline is not None:
            try:
                deadline.check()
            except CepoError:
                work.close()
                raise
        try:
            loop = self._running()
        except BaseException:
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(_settled(work), loop)
        try:
            with nullcontext() if deadline is None else deadline.on_end(future.cancel):
                result, error = _within(_sooner(timeout, deadline), future)
        except CancelledError:
            if deadline is not None:
                deadline.check()
            raise Ended("the call was given up") from None
        except ApiTimeout:
            if deadline is not None:
                deadline.check()  # it is the request's time that is over
            raise
        if error is not None:
            try:
                raise error
            finally:
                del error, future  # or its trace would hold this frame, and this frame the error
        return cast(T, result)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                try:
                    threading.Thread(target=_serve, args=(loop,), name=THREAD, daemon=True).start()
                except RuntimeError:  # the system has no thread to give: the next call tries again
                    loop.close()
                    raise
                self._loop = loop
            return self._loop


def _sooner(timeout: float | None, deadline: Deadline | None) -> float | None:
    """Seconds until the time-out or the deadline; None without either."""
    left = math.inf if deadline is None else deadline.remaining
    limit = left if timeout is None else min(timeout, left)
    return None if math.isinf(limit) else limit


def _within(timeout: float | None, future: Future[T]) -> T:
    """The future's result; when the time is over before it, the future is cancelled."""
    try:
        return future.result(timeout)
    except TimeIsUp:
        if not future.cancel():  # it was done just now
            return future.result()
        raise ApiTimeout(f"the Cerebras API did not answer within {timeout:.3g} s") from None


async def _settled(work: Coroutine[Any, Any, T]) -> tuple[T | None, BaseException | None]:
    """Return result or error as a value.

    asyncio would log the error of a call that was given up, for nobody asks for it, and end the loop for a SystemExit.
    """
    try:
        return await work, None
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        return None, error


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop for as long as the process lives: without it all calls, and the exit, would wait for ever."""
    while not loop.is_closed():
        try:
            loop.run_forever()
        except BaseException as error:  # noqa: PERF203 - a callback's SystemExit, which asyncio hands on: never in calls
            logger.error("cepo_cerebras: the network's thread goes on after a defect: %s", type(error).__name__)
