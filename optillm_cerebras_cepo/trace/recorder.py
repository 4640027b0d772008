"""Record one request: its calls, waits and decisions with their times, as JSON values. `docs/traces.md` has the schema.

Without texts, a trace has nothing of what the client and the model wrote.
"""

from __future__ import annotations

import datetime
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.core.events import (
    CallDelayed,
    CallHedged,
    CandidateRated,
    CandidatesCompared,
    Event,
    PlansCompared,
    describe,
)

VERSION = 1
MOST_CALLS = 2_000  # that are recorded of a request, and as many waits
MOST_TEXT = 20_000  # characters of a text; the rest is left out


class TraceRecorder:
    """Records one request from now on. Safe for many threads, which call `observe` and `record`.

    Args:
        request_id: the sidecar's id of the request; None without one.
        texts: whether prompts and replies are recorded.

    """

    def __init__(self, request_id: str | None = None, *, texts: bool = False) -> None:
        self.id = uuid.uuid4().hex[:12]
        self._request_id = request_id
        self._texts = texts
        self._began = time.monotonic()
        self._started = datetime.datetime.now(datetime.timezone.utc)
        self._lock = threading.Lock()
        self._calls: list[dict[str, Any]] = []
        self._waits: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []

    def observe(self, event: Event) -> None:
        """Record a progress event; calls are recorded by `record`."""
        now = self._now()
        found: dict[str, Any] | None = None
        match event:
            case CallDelayed():
                self._add(
                    self._waits, {**_label(event), "started": now, "seconds": event.seconds, **_error(event.error)}
                )
            case CallHedged():
                found = {"kind": "hedged", **_label(event), "seconds": event.seconds}
            case PlansCompared():
                found = {"kind": "plans_compared", "candidate": event.candidate}
                found |= {"agreeing": event.agreeing, "plans": event.plans}
            case CandidatesCompared():
                found = {"kind": "candidates_compared", "agreeing": event.agreeing, "candidates": event.candidates}
            case CandidateRated():
                found = {"kind": "rated", "candidate": event.candidate, "rating": event.rating}
        if found is not None:
            self._add(self._events, {"at": now, **found, "message": describe(event)})

    def record(self, request: ChatRequest, result: Completion | CepoError, seconds: float) -> None:
        """Record a finished call that took so many seconds; one that was never sent is left out."""
        if isinstance(result, CepoError) and not result.sent:
            return
        call: dict[str, Any] = {
            **_label(request),
            "model": request.model,
            "started": round(max(0.0, self._now() - seconds), 4),
            "seconds": round(seconds, 4),
            "max_tokens": request.max_tokens,
        }
        if isinstance(result, CepoError):
            call |= _error(result)
        else:
            usage = result.usage
            call |= {
                "finish_reason": result.finish_reason,
                "prompt_tokens": usage.prompt_tokens,
                "completion_tokens": usage.completion_tokens,
                "reasoning_tokens": usage.reasoning_tokens,
            }
        if self._texts:
            call["messages"] = [_shortened(message.wire()) for message in request.messages]
            if isinstance(result, Completion):
                call |= {"text": _cut(result.text), "reasoning": _cut(result.reasoning)}
        self._add(self._calls, call)

    def finish(self, status: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the trace of the request, which ended with this status.

        Args:
            status: of the response.
            body: its `error`, if there is one, and its `cepo_cerebras` object.

        """
        with self._lock:
            return {
                "version": VERSION,
                "id": self.id,
                "request_id": self._request_id,
                "started": self._started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "seconds": self._now(),
                "status": status,
                **body,
                "calls": sorted(self._calls, key=lambda call: call["started"]),
                "waits": list(self._waits),
                "events": list(self._events),
            }

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 4)

    def _add(self, kept: list[dict[str, Any]], entry: dict[str, Any]) -> None:
        with self._lock:
            if len(kept) < MOST_CALLS:
                kept.append(entry)


def _label(labelled: CallDelayed | CallHedged | ChatRequest) -> dict[str, Any]:
    return {"step": labelled.label.step.value, "candidate": labelled.label.candidate}


def _error(error: CepoError) -> dict[str, Any]:
    """Return an error's code and message, which are safe to show."""
    return {"error": error.code or error.type, "message": error.message}


def _shortened(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    return {**message, "content": _cut(content)} if isinstance(content, str) else message


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}… ({len(text) - MOST_TEXT} more characters)"
