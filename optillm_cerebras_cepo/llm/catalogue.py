"""Which models each API lists, believed for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import CepoError, RefusedCall
from optillm_cerebras_cepo.llm.models import lookup, resolve
from optillm_cerebras_cepo.llm.retry import RetryPolicy, patiently
from optillm_cerebras_cepo.llm.sdk import SdkClient

BELIEVED = 600.0  # seconds


class Catalogue:
    """The lists of all APIs of this process. The lock is held for look-ups only, never while an API is asked."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lists: dict[SdkClient, tuple[float, tuple[str, ...]]] = {}

    def look(self, api: SdkClient) -> tuple[str, ...]:
        """Ask the API now, once. Raises a CepoError."""
        served = api.list_models()
        self._keep(api, served)
        return served

    def resolve(self, api: SdkClient, wanted: Sequence[str], policy: RetryPolicy, deadline: Deadline) -> str:
        """The API's id of the first wanted model that it lists; the first wanted where it has no list.

        Raises:
            ModelUnavailable: it lists none of them.
            CepoError: it cannot be asked, or what ended the request meanwhile.

        """
        with self._lock:
            until, served = self._lists.get(api, (0.0, ()))
        if until <= self._clock():
            try:
                served = patiently(policy, deadline)(api.list_models)
            except RefusedCall:  # an endpoint without a list: what it serves shows in the first call
                return lookup(wanted[0]).id
            except CepoError as error:
                if error.fatal or not served:
                    raise
            self._keep(api, served)
        return resolve(wanted, served)

    def forget(self, api: SdkClient) -> None:
        """The list names a model that has stopped working."""
        with self._lock:
            self._lists.pop(api, None)

    def clear(self) -> None:
        """Forget all lists."""
        with self._lock:
            self._lists.clear()

    def _keep(self, api: SdkClient, served: tuple[str, ...]) -> None:
        with self._lock:
            self._lists[api] = self._clock() + BELIEVED, served
