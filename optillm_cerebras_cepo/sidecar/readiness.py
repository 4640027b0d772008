"""Whether the sidecar can answer: its key is set, the API is there, and serves the pinned model.

Looked at in the background, never on a request's time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from optillm_cerebras_cepo.chat import ChatRequest, Label, Step
from optillm_cerebras_cepo.errors import CepoError, Ends, MissingKey, RefusedCall
from optillm_cerebras_cepo.host.work import defect
from optillm_cerebras_cepo.llm import tls
from optillm_cerebras_cepo.llm.sdk import SdkClient
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.sidecar.keys import CEREBRAS

CHAT_TIMEOUT = 10.0  # seconds for the call that shows whether there is a chat endpoint
WELL = 30.0  # seconds between two looks at an API that was there
ILL = (1.0, 2.0, 5.0, 10.0)  # and at one that was not; the last goes on


@dataclass(frozen=True)
class State:
    """What the last look saw: the model's id at the API, or why there is no answer to be had."""

    model: str | None = None
    reason: str = "the API has not been looked at yet"


class Readiness:
    """The state, looked at again and again by a thread of its own.

    Args:
        runtime: has the connection to the API.
        base_url: the API's.
        wanted: the pinned model, or several in order of preference.
        settings: how the API's certificate is verified.

    """

    def __init__(self, runtime: Runtime, base_url: str, wanted: Sequence[str], settings: tls.Tls = tls.DEFAULT) -> None:
        self._runtime = runtime
        self._base_url = base_url
        self._wanted = wanted
        self._settings = settings
        self._takes_chat = False
        self._stopped = threading.Event()
        self.state = State()

    def watch(self) -> None:
        """Look from now on, until `stop`."""
        threading.Thread(target=self._watch, name="cepo-cerebras-readiness", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def look(self) -> State:
        """Ask the API once."""
        try:
            self.state = State(self._served())
        except CepoError as error:
            self.state = State(reason=error.message)
        except BaseException as error:  # nobody else would look again
            self.state = State(reason=defect(error).message)
        return self.state

    def _served(self) -> str:
        key = os.environ.get(CEREBRAS)
        if not key:
            raise MissingKey(f"{CEREBRAS} is not set, nor {CEREBRAS}_FILE")
        api = self._runtime.client(self._base_url, key, self._settings)
        listing = self._runtime.catalogue.look(api)
        model = listing.resolve(self._wanted)
        if listing.models is None:  # a key without a list, or a base URL that leads to no API at all
            self._check_chat(api, model)
        return model

    def _check_chat(self, api: SdkClient, model: str) -> None:
        """Raise a CepoError if no call to the API can succeed.

        It is asked, until it has answered once, with a call that it has to refuse: without messages.
        """
        if self._takes_chat:
            return
        try:
            api.complete(ChatRequest(model, (), 1, Label(Step.DIRECT), timeout=CHAT_TIMEOUT))
            self._takes_chat = True
        except CepoError as error:
            if error.ends is not Ends.CALL:
                raise
            self._takes_chat = isinstance(error, RefusedCall)

    def _watch(self, wait: Callable[[float], object] | None = None) -> None:
        wait = wait or self._stopped.wait
        failures = 0
        while not self._stopped.is_set():
            failures = 0 if self.look().model else failures + 1
            wait(ILL[min(failures, len(ILL)) - 1] if failures else WELL)
