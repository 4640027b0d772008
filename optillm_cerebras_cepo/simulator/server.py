"""Two ways to run the simulated API: inside a test's process on a thread of its own, or alone until a signal."""

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
from .hold import Hold
from .ledger import Call, Ledger, Totals
from .options import SimulatorOptions

BACKLOG = 4096
"""Connections that may wait to be accepted: one beyond that is dropped, and its client waits for its time-out."""

SHUTDOWN_SECONDS = 0.1
"""How long calls that still run may go on when the simulator stops."""


class Simulator:
    """A simulated API in this process, on a thread and a free port of its own. Use it once, as a context manager.

    The figures can be read while it runs and after it stopped.
    """

    def __init__(self, options: SimulatorOptions | None = None) -> None:
        self.options = options or SimulatorOptions()
        self._ledger = Ledger(self.options.clock)
        self._hold = Hold()
        self._ready: Future[str] = Future()
        self._thread = threading.Thread(target=self._run, name="cerebras-simulator", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    @property
    def url(self) -> str:
        """The base URL, as the Cerebras SDK wants it: without /v1."""
        if not self._ready.done():
            raise RuntimeError("the simulator is not running; use it as a context manager or call start()")
        return self._ready.result()

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call received, in the order of arrival."""
        return self._ledger.calls

    @property
    def chat_calls(self) -> tuple[Call, ...]:
        """The calls of the chat completions path."""
        return tuple(call for call in self.calls if call.path == "/v1/chat/completions")

    @property
    def usage(self) -> Totals:
        """Token sums of the calls."""
        return self._ledger.totals

    @property
    def in_flight(self) -> int:
        """Admitted calls that are running now."""
        return self._ledger.in_flight

    @property
    def peak_in_flight(self) -> int:
        """The most admitted calls that ran at one time."""
        return self._ledger.peak_in_flight

    @property
    def connections(self) -> int:
        """The distinct TCP connections that the calls came over."""
        return self._ledger.connections

    @property
    def warmings(self) -> int:
        """How often the SDK's warm-up path was asked; those are not among the calls."""
        return self._ledger.warmings

    @property
    def held(self) -> int:
        """Calls whose replies wait for `release`."""
        return self._hold.held

    @property
    def stalled(self) -> frozenset[int]:
        """The numbers of the calls that get no further by themselves: those that are held, hang or trickle."""
        return self._hold.stalled

    def release(self, count: int | None = None) -> None:
        """Let this many held replies go, the oldest first; None: all, and every later one at once."""
        self._hold.release(count)

    def clear(self) -> None:
        """Forget the calls so far; rules and rate limits go on as they are."""
        self._ledger.clear()

    def start(self) -> None:
        """Start and return when the API answers. Raises what went wrong, for example OSError."""
        self._thread.start()
        self._ready.result()

    def stop(self) -> None:
        """Stop and return when the thread has ended; calls that still run are cut off."""
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
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
        async with _listening(self.options, self._ledger, self._hold, "127.0.0.1", 0) as url:
            self._ready.set_result(url)
            await self._stop.wait()


def serve(options: SimulatorOptions, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Run a simulated API until SIGINT or SIGTERM; call it from the main thread.

    `port` 0 takes a free one; `on_ready` gets the base URL when the API answers. Raises OSError when it cannot listen.
    """
    asyncio.run(_serve(options, host, port, on_ready))


async def _serve(options: SimulatorOptions, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with _listening(options, Ledger(options.clock), Hold(), host, port) as url:
        on_ready(url)
        await stop.wait()


@asynccontextmanager
async def _listening(options: SimulatorOptions, ledger: Ledger, hold: Hold, host: str, port: int) -> AsyncIterator[str]:
    # handler_cancellation: a client that hangs up ends its call here too, and the ledger says so.
    runner = web.AppRunner(
        Api(options, ledger, hold).application(),
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
