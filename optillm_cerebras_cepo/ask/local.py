"""A request that this process answers, without a server: OptiLLM's functions, the plugin's settings, the real API."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

from optillm_cerebras_cepo.ask.updates import AskError, Entries, Reply, Tick, Update
from optillm_cerebras_cepo.core.environment import API_KEY, BASE_URL, misspelt
from optillm_cerebras_cepo.core.errors import BadConfiguration, CepoError, MissingKey
from optillm_cerebras_cepo.host import SLUG
from optillm_cerebras_cepo.host.bootstrap import leave_out

NO_KEY = f"Set {API_KEY}, name a server with --server, or run `cepo-cerebras demo`, which needs no key."
TICK = 0.1  # seconds without an update after which there is a Tick


class LocalAnswering:
    """A request that is answered on a thread of this process.

    Args:
        body: the request's fields.

    Raises:
        AskError: the request or the configuration is wrong.

    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        # Imported here, because it takes a second, in which the view is shown already.
        from optillm_cerebras_cepo.host import configuration, optillm
        from optillm_cerebras_cepo.host.plugin import execution_of
        from optillm_cerebras_cepo.host.request import parse_request
        from optillm_cerebras_cepo.runtime import RUNTIME

        optillm.silence_cepo()
        try:
            if hint := misspelt(BASE_URL, os.environ):
                raise BadConfiguration(hint)
            key = configuration.cerebras_key()
            configuration.check_connection()
            request = parse_request({**body, "stream": True})
            api = RUNTIME.client(configuration.base_url(), key, configuration.tls_settings())
            self._execution = execution_of(request, api)
        except MissingKey:
            raise AskError(misspelt(API_KEY, os.environ) or NO_KEY, MissingKey.status) from None
        except CepoError as error:
            raise _failure(error) from None
        self._execution.start()

    def updates(self) -> Iterator[Update]:
        """Yield what happens, up to the Reply. Raise AskError if there is no answer."""
        from optillm_cerebras_cepo.host import responses
        from optillm_cerebras_cepo.host.execution import TraceEntry
        from optillm_cerebras_cepo.session import RequestResult

        for update in self._execution.updates(TICK):
            match update:
                case TraceEntry():
                    yield Entries(update.entry)
                case CepoError():
                    raise _failure(update)
                case RequestResult():
                    answer = update.outcome.answers[0]
                    account = responses.account(update)
                    yield Reply(answer.text, answer.finish_reason, update.model, responses.usage(update), account)
                case _:
                    yield Tick()

    def give_up(self) -> Mapping[str, Any]:
        """Give up the calls in flight, and return what was spent."""
        self._execution.give_up()
        try:
            for update in self.updates():
                if isinstance(update, Reply):  # it was faster
                    return update.account
        except AskError as error:
            return dict(error.body.get("cepo_cerebras", {}))
        return {}


def _failure(error: CepoError) -> AskError:
    return AskError(error.sentence, error.status, error.body())


def prepare_process() -> None:
    """Make this process one that only answers: without OptiLLM's other approaches, and with no line of a log.

    Call it before OptiLLM is imported. Its other approaches would take a second to import; what the log would say, the
    view of the request shows.
    """
    leave_out([SLUG])
    for name in ("optillm_cerebras_cepo", "optillm", "httpx", "aiohttp", "asyncio"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
