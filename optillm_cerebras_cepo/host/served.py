"""What a server that knows us puts into a request's WSGI environ, so that it hears how the work goes on."""

from __future__ import annotations

from typing import Protocol

import flask

from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.events import Event
from optillm_cerebras_cepo.runtime import Solved

WATCHER = "cepo_cerebras.watcher"


class Watcher(Protocol):
    """Hears of one request, from any thread. What it raises would end the request: it raises nothing."""

    request_id: str

    def chose(self, approach: str) -> None:
        """The request asks for this approach, which is served."""

    def began(self, effort: str) -> None:
        """The work on the answer begins."""

    def heard(self, event: Event) -> None:
        """Something happened."""

    def ended(self, result: Solved | CepoError) -> None:
        """The work on the answer is over."""


def watcher() -> Watcher | None:
    """Who watches the request that this thread serves, if anybody does."""
    return flask.request.environ.get(WATCHER) if flask.has_request_context() else None
