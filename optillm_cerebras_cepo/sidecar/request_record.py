"""Record of one HTTP request, for the access log and the metrics."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.core.events import Event
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.sidecar.metrics import Metrics

REQUEST_ID = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")
LOGGED_PATH = re.compile(r"[ -~]{1,200}")
LOGGED_METHOD = re.compile(r"[A-Z]{1,20}")


class RequestRecord:
    """A request's id, status, size, duration and result. It is the RequestObserver of `host.execution`."""

    def __init__(self, environ: Mapping[str, Any], metrics: Metrics) -> None:
        given_id = environ.get("HTTP_X_REQUEST_ID", "")
        self.request_id = given_id if REQUEST_ID.fullmatch(given_id) else uuid.uuid4().hex
        self.method = str(environ.get("REQUEST_METHOD", ""))
        self.path = str(environ.get("PATH_INFO", ""))
        self.client = str(environ.get("REMOTE_ADDR", ""))
        self.status = 0
        self.sent_bytes = 0  # of the body
        self.hung_up = True  # until the whole body was read by the server
        self.approach = ""
        self.effort = ""
        self._result: dict[str, Any] = {}
        self._metrics = metrics
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the request arrived."""
        return time.monotonic() - self._started

    def on_approach(self, approach: str) -> None:
        """Store the requested approach, which is one that is served."""
        self.approach = approach

    def on_start(self, effort: str) -> None:
        """Store the effort of the answer."""
        self.effort = effort

    def on_event(self, event: Event) -> None:
        """Count a progress event."""
        self._metrics.count_event(event)

    def on_end(self, result: RequestResult | CepoError) -> None:
        """Store what the answer cost, or its error. Not the result itself: it would keep the request in memory."""
        self._metrics.count_result(result)
        if isinstance(result, CepoError):
            self._result = {"error": result.code or result.type, **result.spent}
            return
        total = result.ledger.total
        self._result = {
            "model": result.model,
            "calls": total.calls,
            "prompt_tokens": total.prompt_tokens,
            "completion_tokens": total.completion_tokens,
            "degraded": len(result.degraded),
        }

    def log_fields(self) -> dict[str, Any]:
        """Return the fields of the access log: no query, no header, no text of the request or the response."""
        unprintable = "(unprintable)"
        optional = {"hung_up": self.hung_up, "approach": self.approach, "effort": self.effort}
        return {
            "request_id": self.request_id,
            "client": self.client,
            "method": self.method if LOGGED_METHOD.fullmatch(self.method) else unprintable,
            "path": self.path if LOGGED_PATH.fullmatch(self.path) else unprintable,
            "status": self.status,
            "seconds": round(self.seconds, 4),
            "bytes": self.sent_bytes,
            **{name: value for name, value in optional.items() if value},
            **self._result,
        }
