"""The lists of models that the APIs serve, fetched when they are needed."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import CepoError, ErrorScope, Forbidden, ModelUnavailable, RefusedCall
from optillm_cerebras_cepo.llm.models import lookup, of_another_family, resolve
from optillm_cerebras_cepo.llm.retry import RetryPolicy, with_retries
from optillm_cerebras_cepo.llm.sdk import SdkClient

LIST_TTL = 600.0  # seconds for which a list that has a wanted model is used
RETRY_PAUSE = 1.0  # seconds until a list without a wanted model is fetched again: it may be missing for a moment


@dataclass(frozen=True)
class Listing:
    """One list of models.

    Attributes:
        at: when it was fetched, in monotonic seconds.
        models: the ids; None if the API refuses the list to this key. Chat calls may work all the same.

    """

    at: float
    models: tuple[str, ...] | None

    def resolve(self, wanted: Sequence[str]) -> str:
        """Return the API's id of the first wanted model that is listed; without a list, the first wanted model.

        Raises:
            ModelUnavailable: none of them is listed.

        """
        return lookup(wanted[0]).id if self.models is None else resolve(wanted, self.models)

    def of_another_family(self, model: str) -> str | None:
        """Return the first listed model of another family than this one's; None if there is none, or no list."""
        return of_another_family(model, self.models or ())


class Catalogue:
    """Lists of all APIs of this process.

    The lock is not held while an API is called. Requests that need a list at the same time wait for one call.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listings: dict[SdkClient, Listing] = {}
        self._fetches: dict[SdkClient, Future[CepoError | None]] = {}

    def fetch(self, api: SdkClient) -> Listing:
        """Fetch the list now, without a retry. Raises a CepoError."""
        return self._store(api, _list_or_none(api.list_models))

    def resolve(self, api: SdkClient, wanted: Sequence[str], policy: RetryPolicy, deadline: Deadline) -> str:
        """Return the API's id of the first wanted model that it lists; the first wanted one if it has no list.

        A list with none of them is fetched once more after a pause.

        Raises:
            ModelUnavailable: the list has none of them.
            CepoError: the list cannot be fetched, or what ended the deadline.

        """
        listing = self._newer_than(time.monotonic() - LIST_TTL, api, policy, deadline)
        try:
            return listing.resolve(wanted)
        except ModelUnavailable:
            deadline.wait(max(0.0, listing.at + RETRY_PAUSE - time.monotonic()))
            return self._newer_than(listing.at, api, policy, deadline).resolve(wanted)

    def of_another_family(self, api: SdkClient, model: str, policy: RetryPolicy, deadline: Deadline) -> str | None:
        """Return the first model of another family that the API lists; None if there is none, or no list.

        Raises:
            CepoError: the list cannot be fetched, or what ended the deadline.

        """
        return self._newer_than(time.monotonic() - LIST_TTL, api, policy, deadline).of_another_family(model)

    def forget(self, api: SdkClient) -> None:
        """Fetch the list when it is needed next: one of its models does not work any more."""
        with self._lock:
            self._listings.pop(api, None)

    def _newer_than(self, at: float, api: SdkClient, policy: RetryPolicy, deadline: Deadline) -> Listing:
        """Return a list that was fetched later than this: the known one, or that of the next call."""
        while True:
            deadline.check()
            with self._lock:
                known = self._listings.get(api)
                if known is not None and known.at > at:
                    return known
                running = self._fetches.get(api)
                if running is None:
                    fetch = self._fetches[api] = Future()
                    break
            # The error of another request's call counts here as well, unless that request ran out of time.
            if (error := deadline.wait_for(running)) is not None:
                raise copy.copy(error)
        shared_error = None
        try:
            return self._store(api, _list_or_known(known, api, policy, deadline))
        except CepoError as error:
            if deadline.remaining > policy.max_wait:
                with suppress(CepoError):
                    deadline.check()
                    shared_error = error
            raise
        finally:
            with self._lock:
                del self._fetches[api]
            fetch.set_result(shared_error)

    def _store(self, api: SdkClient, models: tuple[str, ...] | None) -> Listing:
        with self._lock:
            listing = self._listings[api] = Listing(time.monotonic(), models)
        return listing


def _list_or_none(fetch: Callable[[], tuple[str, ...]]) -> tuple[str, ...] | None:
    """Return the models; None if the API refuses the list. The first call then shows whether it serves a model."""
    try:
        return fetch()
    except (RefusedCall, Forbidden):
        return None


def _list_or_known(
    known: Listing | None, api: SdkClient, policy: RetryPolicy, deadline: Deadline
) -> tuple[str, ...] | None:
    """Fetch the list with retries; if it fails for now, return the known one."""
    try:
        return _list_or_none(lambda: with_retries(lambda: api.list_models(deadline), policy, deadline))
    except CepoError as error:
        if error.scope is not ErrorScope.CALL or known is None:
            raise
        return known.models
