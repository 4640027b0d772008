"""Whether the sidecar can answer: its key is set, and the API is reachable and serves the pinned model.

A background thread checks it, so that no request waits for it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optillm_cerebras_cepo.core.chat import ChatRequest, Label, Step
from optillm_cerebras_cepo.core.errors import CepoError, ErrorScope, RefusedCall
from optillm_cerebras_cepo.host.configuration import cerebras_key
from optillm_cerebras_cepo.host.execution import defect
from optillm_cerebras_cepo.llm.connection import DEFAULT_TLS, TlsSettings
from optillm_cerebras_cepo.llm.sdk import SdkClient
from optillm_cerebras_cepo.runtime import Runtime

CHAT_TIMEOUT = 10.0  # s
READY_INTERVAL = 30.0  # s between checks while the API is available
RETRY_INTERVALS = (1.0, 2.0, 5.0, 10.0)  # s after the first, second, … failed check; then the last one

logger = logging.getLogger("optillm_cerebras_cepo")


@dataclass(frozen=True)
class ReadinessState:
    """Result of a check: the API's id of the pinned model, or the reason why the server is not ready."""

    model: str | None = None
    reason: str = "The API has not been checked yet."


class Readiness:
    """Checks regularly whether the API serves a model of `wanted`, which is in order of preference."""

    def __init__(self, runtime: Runtime, base_url: str, wanted: Sequence[str], tls: TlsSettings = DEFAULT_TLS) -> None:
        self._runtime = runtime
        self._base_url = base_url
        self._wanted = wanted
        self._tls = tls
        self._chat_works = False
        self._stopped = threading.Event()
        self.state = ReadinessState()

    def start(self) -> None:
        """Start the thread that checks until `stop`."""
        threading.Thread(
            target=self._run, args=(self._stopped.wait,), name="cepo-cerebras-readiness", daemon=True
        ).start()

    def stop(self) -> None:
        """Stop checking."""
        self._stopped.set()

    def check(self) -> ReadinessState:
        """Check once; store and return the result."""
        try:
            self.state = ReadinessState(self._find_model())
        except CepoError as error:
            self.state = ReadinessState(reason=error.sentence)
        except BaseException as error:  # this thread must not end
            self.state = ReadinessState(reason=defect(error).sentence)
        return self.state

    def _find_model(self) -> str:
        api = self._runtime.client(self._base_url, cerebras_key(), self._tls)
        listing = self._runtime.shared.catalogue.fetch(api)
        model = listing.resolve(self._wanted)
        if listing.models is None and not self._chat_works:  # the key cannot list models, or this is not an API
            self._check_chat(api, model)
        return model

    def _check_chat(self, api: SdkClient, model: str) -> None:
        """Raise a CepoError if no chat call can succeed. The call has no messages, so an API refuses it for free."""
        try:
            api.complete(ChatRequest(model, (), 1, Label(Step.DIRECT), timeout=CHAT_TIMEOUT))
            self._chat_works = True
        except CepoError as error:
            if error.scope is not ErrorScope.CALL:
                raise
            self._chat_works = isinstance(error, RefusedCall)

    def _run(self, wait: Callable[[float], object]) -> None:
        failures, logged = 0, self.state
        while not self._stopped.is_set():
            state = self.check()
            if state != logged:  # not at every check
                logged = state
                if state.model:
                    logger.info("Ready: the API serves %s.", state.model)
                else:
                    logger.warning("Not ready, every question would fail: %s", state.reason)
            failures = 0 if state.model else failures + 1
            wait(RETRY_INTERVALS[min(failures, len(RETRY_INTERVALS)) - 1] if failures else READY_INTERVAL)
