"""One request to the sidecar: what the access log and the metrics will say of it."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.events import Event
from optillm_cerebras_cepo.runtime import Solved
from optillm_cerebras_cepo.sidecar.metrics import Metrics

ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
SHOWN = re.compile(r"[ -~]{1,200}")  # of a path, in a log
METHOD = re.compile(r"[A-Z]{1,20}")


class Visit:
    """What is known of a request; it hears how the work on it goes (`host.served.Watcher`).

    Args:
        environ: the request's, as WSGI has it.
        metrics: what else hears of it.

    """

    def __init__(self, environ: Mapping[str, Any], metrics: Metrics) -> None:
        wanted = environ.get("HTTP_X_REQUEST_ID", "")
        self.request_id = wanted if ID.fullmatch(wanted) else uuid.uuid4().hex
        self.method = str(environ.get("REQUEST_METHOD", ""))
        self.path = str(environ.get("PATH_INFO", ""))
        self.client = str(environ.get("REMOTE_ADDR", ""))
        self.status = 0
        self.sent = 0  # bytes of the reply's body
        self.hung_up = True  # until the whole reply is on its way
        self.approach = ""
        self.effort = ""
        self._outcome: dict[str, Any] = {}
        self._metrics = metrics
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the request came."""
        return time.monotonic() - self._started

    def chose(self, approach: str) -> None:
        """The request asks for this approach, which is served."""
        self.approach = approach

    def began(self, effort: str) -> None:
        """The work on the answer begins."""
        self.effort = effort

    def heard(self, event: Event) -> None:
        """Something happened."""
        self._metrics.heard(event)

    def ended(self, result: Solved | CepoError) -> None:
        """The work on the answer is over."""
        self._outcome = _told(result)  # not the result: an error's trace would hold this visit, and all that came
        self._metrics.ended(result)

    def line(self) -> dict[str, Any]:
        """What the access log has of it: no query, no header, no text of the request or of its reply."""
        unprintable = "(unprintable)"
        line: dict[str, Any] = {
            "request_id": self.request_id,
            "client": self.client,
            "method": self.method if METHOD.fullmatch(self.method) else unprintable,
            "path": self.path if SHOWN.fullmatch(self.path) else unprintable,
            "status": self.status,
            "seconds": round(self.seconds, 4),
            "bytes": self.sent,
        }
        if self.hung_up:
            line["hung_up"] = True
        if self.approach:
            line["approach"] = self.approach
        if self.effort:
            line["effort"] = self.effort
        return line | self._outcome


def _told(result: Solved | CepoError) -> dict[str, Any]:
    """What an answer has cost, or why there is none."""
    if isinstance(result, CepoError):
        return {"error": result.code or result.type, **result.spent}
    total = result.ledger.total
    return {
        "model": result.model,
        "calls": total.calls,
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "degraded": len(result.degraded),
    }
