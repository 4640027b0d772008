"""Run the simulated API: in a thread of a test's process, or as a process until a signal."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from types import TracebackType

from aiohttp import web

from .api import Api
from .call_log import Call, CallLog, Totals
from .held_calls import HeldCalls
from .options import SimulatorOptions

BACKLOG = 4096
"""Connections that may wait for acceptance; further ones are dropped, and their clients wait for their timeout."""

SHUTDOWN_SECONDS = 0.1
"""Seconds that running calls may continue when the simulator stops."""


class Simulator:
    """A simulated API in a thread of this process, on a free port. Use it once, as a context manager.

    Its properties can be read while it runs and after it has stopped.
    """

    def __init__(self, options: SimulatorOptions | None = None) -> None:
        self.options = options or SimulatorOptions()
        self._call_log = CallLog(self.options.clock)
        self._held_calls = HeldCalls()
        self._ready: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, name="cerebras-simulator", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """The base URL as the Cerebras SDK expects it, without /v1."""
        if not self._ready.done():
            raise RuntimeError("the simulator is not running; use it as a context manager or call start()")
        return self._ready.result()

    @property
    def calls(self) -> tuple[Call, ...]:
        """All received calls, in order of arrival."""
        return self._call_log.calls

    @property
    def chat_calls(self) -> tuple[Call, ...]:
        """The calls of /v1/chat/completions."""
        return tuple(call for call in self.calls if call.path == "/v1/chat/completions")

    @property
    def usage(self) -> Totals:
        """Token sums of the calls."""
        return self._call_log.totals

    @property
    def in_flight(self) -> int:
        """Number of admitted calls that are running."""
        return self._call_log.in_flight

    @property
    def peak_in_flight(self) -> int:
        """Largest number of admitted calls that ran at the same time."""
        return self._call_log.peak_in_flight

    @property
    def connections(self) -> int:
        """Number of distinct TCP connections of the calls."""
        return self._call_log.connections

    @property
    def warmings(self) -> int:
        """Number of requests to the SDK's warm-up path, which are not among the calls."""
        return self._call_log.warmings

    @property
    def held(self) -> int:
        """Number of calls whose replies wait for `release`."""
        return self._held_calls.held

    @property
    def stalled(self) -> frozenset[int]:
        """Numbers of the calls that are held, hang or trickle."""
        return self._held_calls.stalled

    def release(self, count: int | None = None) -> None:
        """Release this many held replies, oldest first; None: all, and later ones immediately."""
        self._held_calls.release(count)

    def clear(self) -> None:
        """Delete the calls so far; rules and rate limits keep their state."""
        self._call_log.clear()

    def start(self) -> None:
        """Start, and return when the API is ready. Raise the error if it cannot start, for example OSError."""
        self._thread.start()
        self._ready.result()

    def stop(self) -> None:
        """Stop, and return when the thread has ended; running calls are aborted."""
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # the loop has ended already
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread.ident is not None:
            self._thread.join()

    def __enter__(self) -> Simulator:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with _listening(self.options, self._call_log, self._held_calls, "127.0.0.1", 0) as url:
            self._ready.set_result(url)
            await self._stop.wait()


def serve(options: SimulatorOptions, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Run a simulated API until SIGINT or SIGTERM. Call it from the main thread.

    `port` 0 selects a free port; `on_ready` receives the base URL when the API is ready. Raise OSError if it cannot
    listen.
    """
    asyncio.run(_serve(options, host, port, on_ready))


async def _serve(options: SimulatorOptions, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with _listening(options, CallLog(options.clock), HeldCalls(), host, port) as url:
        on_ready(url)
        await stop.wait()


@asynccontextmanager
async def _listening(
    options: SimulatorOptions, call_log: CallLog, held_calls: HeldCalls, host: str, port: int
) -> AsyncIterator[str]:
    # handler_cancellation: a client that disconnects ends its call, and the log records it.
    runner = web.AppRunner(
        Api(options, call_log, held_calls).application(),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
        address = runner.addresses[0]
        name = f"[{address[0]}]" if ":" in address[0] else address[0]
        yield f"http://{name}:{address[1]}"
    finally:
        await runner.cleanup()
