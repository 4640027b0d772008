"""Which models each API lists, believed for a while."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import CepoError, Ends, Forbidden, ModelUnavailable, RefusedCall
from optillm_cerebras_cepo.llm.models import lookup, resolve
from optillm_cerebras_cepo.llm.retry import RetryPolicy, patiently
from optillm_cerebras_cepo.llm.sdk import SdkClient

BELIEVED = 600.0  # seconds for which a list that serves what is wanted is not asked for again
PAUSE = 1.0  # seconds between two looks at a list that does not: it may lack a model for a moment only


@dataclass(frozen=True)
class Listing:
    """One answer of an API.

    Attributes:
        at: when it was given, in seconds of the catalogue's clock.
        models: the ids; None where this key gets no list, although it may chat.

    """

    at: float
    models: tuple[str, ...] | None

    def resolve(self, wanted: Sequence[str]) -> str:
        """Return the API's id of the first wanted model that is listed; without a list, the first wanted as it is.

        Raises:
            ModelUnavailable: none of them is listed.

        """
        return lookup(wanted[0]).id if self.models is None else resolve(wanted, self.models)


class Catalogue:
    """The lists of all APIs of this process.

    The lock is held for look-ups only, never while an API is asked. Requests that need a list at the same time wait for
    one call.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._listings: dict[SdkClient, Listing] = {}
        self._fetches: dict[SdkClient, Future[CepoError | None]] = {}

    def look(self, api: SdkClient) -> Listing:
        """Ask the API now, once. Raises a CepoError."""
        return self._keep(api, _models(api.list_models))

    def resolve(self, api: SdkClient, wanted: Sequence[str], policy: RetryPolicy, deadline: Deadline) -> str:
        """Return the API's id of the first wanted model that it lists; the first wanted where it has no list.

        A list that has none of them is asked for once more, after a pause.

        Raises:
            ModelUnavailable: it lists none of them.
            CepoError: it cannot be asked, or what ended the request meanwhile.

        """
        listing = self._newer_than(self._clock() - BELIEVED, api, policy, deadline)
        try:
            return listing.resolve(wanted)
        except ModelUnavailable:
            deadline.wait(max(0.0, listing.at + PAUSE - self._clock()))
            return self._newer_than(listing.at, api, policy, deadline).resolve(wanted)

    def forget(self, api: SdkClient) -> None:
        """Ask anew when a list is needed next: this one names a model that has stopped working."""
        with self._lock:
            self._listings.pop(api, None)

    def clear(self) -> None:
        """Forget all lists."""
        with self._lock:
            self._listings.clear()

    def _newer_than(self, age: float, api: SdkClient, policy: RetryPolicy, deadline: Deadline) -> Listing:
        """Return a listing that was given later than this time: the one that is known, or that of the next call."""
        while True:
            deadline.check()
            with self._lock:
                known = self._listings.get(api)
                if known is not None and known.at > age:
                    return known
                running = self._fetches.get(api)
                if running is None:
                    mine = self._fetches[api] = Future()
                    break
            # What another request's call met is this one's result too, unless that request ran out of time.
            if (error := deadline.wait_for(running)) is not None:
                raise copy.copy(error)
        error = None
        try:
            return self._keep(api, _models_or_known(known, api, policy, deadline))
        except CepoError as failure:
            error = None if deadline.remaining <= policy.most or _is_over(deadline) else failure
            raise
        finally:
            with self._lock:
                del self._fetches[api]
            mine.set_result(error)

    def _keep(self, api: SdkClient, models: tuple[str, ...] | None) -> Listing:
        with self._lock:
            listing = self._listings[api] = Listing(self._clock(), models)
        return listing


def _models(ask: Callable[[], tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return what the API lists; None where it refuses its list, for what it serves shows in the first call."""
    try:
        return ask()
    except (RefusedCall, Forbidden):
        return None


def _models_or_known(
    known: Listing | None, api: SdkClient, policy: RetryPolicy, deadline: Deadline
) -> tuple[str, ...] | None:
    """Ask for the list; where it cannot be had for now, what is known of it still holds."""
    try:
        return _models(lambda: patiently(policy, deadline)(api.list_models, deadline))
    except CepoError as error:
        if error.ends is not Ends.CALL or known is None:
            raise
        return known.models


def _is_over(deadline: Deadline) -> bool:
    try:
        deadline.check()
    except CepoError:
        return True
    return False
