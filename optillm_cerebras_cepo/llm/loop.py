"""One thread for all network traffic, so that a call in flight can be given up from any other thread.

A blocking call can only be waited out: the socket belongs to the thread that reads it. A task on an event loop can be
cancelled, which closes its connection, and the API stops generating for it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar, cast

from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import CepoError, Ended

T = TypeVar("T")


class Loop:
    """An event loop on a daemon thread of its own, started on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, T], deadline: Deadline | None = None) -> T:
        """Wait for the work's result; when the request ends before it, the work is cancelled.

        Raises what the work raises, or what ended the request.
        """
        if deadline is not None:
            try:
                deadline.check()
            except CepoError:
                work.close()
                raise
        future = asyncio.run_coroutine_threadsafe(_settled(work), self._running())
        try:
            if deadline is None:
                result, error = future.result()
            else:
                with deadline.on_end(future.cancel):
                    result, error = future.result()
        except CancelledError:
            if deadline is not None:
                deadline.check()
            raise Ended("the call was given up") from None
        if error is not None:
            raise error
        return cast(T, result)

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="cepo-cerebras-network", daemon=True).start()
            return self._loop


async def _settled(work: Coroutine[Any, Any, T]) -> tuple[T | None, Exception | None]:
    """Result or error as a value: asyncio would log the error of a call that was given up, for nobody asks for it."""
    try:
        return await work, None
    except Exception as error:
        return None, error
