"""State of the process: connections to APIs, and what all sessions share."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.llm.connection import DEFAULT_TLS, TlsSettings, normalized
from optillm_cerebras_cepo.llm.event_loop import EventLoop
from optillm_cerebras_cepo.llm.rate_limits.priority_queue import PrioritySemaphore
from optillm_cerebras_cepo.llm.rate_limits.registry import LimiterRegistry
from optillm_cerebras_cepo.llm.sdk import CONNECTIONS, SdkClient
from optillm_cerebras_cepo.session import RequestHooks, RequestResult, RequestSession, SharedState

logger = logging.getLogger("optillm_cerebras_cepo")
NO_HOOKS = RequestHooks()
REQUESTS = 32  # planned requests that run at once; others wait, or the number of threads would grow with the load


class Runtime:
    """Process-wide state. Its lock is held for look-ups only, never during a call.

    Args:
        time_scale: API seconds in a real second. For tests and benchmarks.

    """

    def __init__(self, time_scale: float = 1.0) -> None:
        self._time_scale = time_scale
        self._lock = threading.Lock()
        self._loop = EventLoop()
        self._clients: dict[tuple[str, str, TlsSettings], SdkClient] = {}
        self._connections = CONNECTIONS
        self._running: set[Deadline] = set()
        self._stop_reason: Callable[[], CepoError] | None = None
        self.shared = self._new_state(PrioritySemaphore(REQUESTS))

    def client(self, base_url: str, api_key: str, settings: TlsSettings = DEFAULT_TLS) -> SdkClient:
        """Return the one client for this API, key and TLS settings; create it on first use.

        Raises:
            BadConfiguration: the base URL is invalid, or the trusted certificates cannot be loaded.

        """
        root = normalized(base_url)
        key = root, api_key, settings
        with self._lock:
            new = key not in self._clients
            if new:  # OptiLLM's defect: a_client_is_built_for_each_request
                self._clients[key] = SdkClient(root, api_key, self._loop, settings, self._connections)
            client = self._clients[key]
        if new and root.lower() != base_url.rstrip("/").lower():
            logger.info("cepo_cerebras: the base URL is shortened to %s; /v1 is added to each call's path", root)
        return client

    def answer(
        self,
        api: SdkClient,
        request: CepoRequest,
        hooks: RequestHooks = NO_HOOKS,
        deadline: Deadline | None = None,
    ) -> RequestResult:
        """Answer one request in a session of its own.

        Args:
            api: the connection to use.
            request: what is asked.
            hooks: who is informed.
            deadline: of the request; by default, one with the settings' seconds.

        Raises:
            CepoError: there is no answer.

        """
        deadline = deadline or Deadline(request.settings.deadline)
        session = RequestSession(self.shared, api, request, hooks, deadline)
        with self._running_until(deadline):
            return session.run()

    def limit_planned_requests(self, most: int) -> None:
        """Set how many planned requests run at once; before the first request."""
        self.shared.planning = PrioritySemaphore(most)

    def limit_connections(self, most: int) -> None:
        """Set how many connections each client may have open to the API; before the first client."""
        self._connections = most

    def stop(self, reason: Callable[[], CepoError]) -> None:
        """End all running requests and every later one, each with an error of its own."""
        with self._lock:
            self._stop_reason = reason
            running = list(self._running)
        for deadline in running:
            deadline.end(reason())

    def reset(self) -> None:
        """Forget everything and close all connections; for tests, and at exit."""
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
            self._stop_reason = None
            self.shared.limiters.clear()
            self.shared = self._new_state(self.shared.planning)
        for client in clients:
            client.close()

    def _new_state(self, planning: PrioritySemaphore) -> SharedState:
        return SharedState(self._time_scale, LimiterRegistry(60.0 / self._time_scale), planning)

    @contextmanager
    def _running_until(self, deadline: Deadline) -> Iterator[None]:
        """Let `stop` end what runs within this block."""
        with self._lock:
            if self._stop_reason is not None:
                raise self._stop_reason()
            self._running.add(deadline)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(deadline)


RUNTIME = Runtime()
atexit.register(RUNTIME.reset)  # aiohttp complains of connections that nobody closed
