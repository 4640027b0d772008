"""Table of models: what each accepts and refuses, with the source. And the lists of models that the APIs serve.

A model that is not in the table can be used as well: a dedicated endpoint serves what its owner chose. What it refuses
is learned from its refusals (`unsupported_params.py`).
"""

from __future__ import annotations

import copy
import difflib
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import CepoError, ErrorScope, Forbidden, ModelUnavailable, RefusedCall
from optillm_cerebras_cepo.llm.retry import RetryPolicy, with_retries

if TYPE_CHECKING:
    from optillm_cerebras_cepo.llm.sdk import SdkClient  # which reads the table

LIST_TTL = 600.0  # seconds for which a list that has a wanted model is used
RETRY_PAUSE = 1.0  # seconds until a list without a wanted model is fetched again: it may be missing for a moment


@dataclass(frozen=True)
class Model:
    """One row of the table.

    Attributes:
        id: the id in the API's list.
        context: tokens of prompt and reply together, paid tier; None if unknown.
        max_output: tokens of one reply, paid tier; None if unknown.
        efforts: accepted values of `reasoning_effort`; if empty, the field is refused.
        refuses: other fields that are refused with 400.
        think_switch: whether " /think" at the end of a prompt turns reasoning on.
        source: the documentation.

    """

    id: str
    context: int | None = None
    max_output: int | None = None
    efforts: tuple[str, ...] = ()
    refuses: frozenset[str] = frozenset()
    think_switch: bool = False
    source: str = "not in the table"


_REFERENCE = "inference-docs.cerebras.ai/api-reference/chat-completions"
_OVERVIEW = "inference-docs.cerebras.ai/models/overview"
_QWEN3 = "Qwen3 technical report (arXiv 2505.09388): /think and /no_think"

# OptiLLM's defect: reasoning_effort_goes_to_models_that_refuse_it
# The API's schema has `reasoning_effort` for every model, but only the reasoning models accept it, each with its own
# values. Limits are those of the paid tier; the free tier's context is about half.
MODELS = (
    Model("llama-3.3-70b", 131_072, 65_536, source=f"{_REFERENCE}: reasoning_effort never listed for it"),
    Model("llama3.1-8b", 32_768, 8_192, source=f"{_REFERENCE}: reasoning_effort never listed for it"),
    Model(
        "qwen-3-235b-a22b-instruct-2507",
        131_072,
        40_960,
        refuses=frozenset({"prediction"}),
        source=f"{_REFERENCE}: an instruct model, without reasoning; prediction refused on qwen",
    ),
    Model(
        "qwen-3-32b",
        131_072,
        40_960,
        refuses=frozenset({"prediction"}),
        think_switch=True,
        source=f"{_REFERENCE}: prediction refused on qwen; {_QWEN3}",
    ),
    Model("gpt-oss-120b", 131_072, 40_000, ("low", "medium", "high"), source=f"{_OVERVIEW}: `none` answers 400"),
    Model(
        "qwen-3.8-27b",
        131_072,
        32_768,
        ("none", "low", "medium", "high"),
        frozenset({"prediction"}),
        source=f"{_OVERVIEW}; {_REFERENCE}: prediction refused on qwen",
    ),
    Model(
        "gemma-4-31b",
        131_072,
        40_000,
        ("none", "low", "medium", "high"),
        frozenset({"prediction"}),
        source=f"{_OVERVIEW} (dedicated endpoints); {_REFERENCE}: prediction refused on gemma",
    ),
)


def _key(name: str) -> str:
    """Return what all spellings of a name have in common: `llama3.3-70b` and `llama-3.3-70b` are the same model."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


_BY_KEY = {_key(model.id): model for model in MODELS}


def lookup(name: str) -> Model:
    """Return the row of a model, however it is spelled; for an unknown model, an empty row with the given name."""
    return _BY_KEY.get(_key(name)) or Model(name)


def resolve(wanted: Sequence[str], served: Sequence[str]) -> str:
    """Return the API's own id of the first wanted model that it serves.

    Raises:
        ModelUnavailable: it serves none of them. The message names the served models and the variable to set.

    """
    for name in wanted:
        if name in served:
            return name
        for candidate in served:
            if _key(candidate) == _key(name):
                return candidate
    raise ModelUnavailable(_not_served(wanted, served), param="model")


def _not_served(wanted: Sequence[str], served: Sequence[str]) -> str:
    if not served:
        return "The API lists no model for this key. Check that CEREBRAS_API_KEY belongs to the account that you mean."
    keys = {_key(name): name for name in served}
    close = [keys[key] for name in wanted for key in difflib.get_close_matches(_key(name), keys, n=1, cutoff=0.6)]
    missing = " or ".join(wanted) + (f"; did you mean {close[0]}?" if close else ".")
    return f"The API does not serve {missing} It serves: {', '.join(served)}. Set CEPO_CEREBRAS_MODEL to one of these."


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
