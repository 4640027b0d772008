"""Record one request: its calls, waits and decisions with their times, as JSON values. `docs/traces.md` has the schema.

Without texts, a trace has nothing of what the client and the model wrote.
"""

from __future__ import annotations

import datetime
import itertools
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Literal

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

Texts = Literal["none", "replies", "all"]
Publish = Callable[[Mapping[str, Mapping[str, Any]]], None]


class TraceRecorder:
    """Records one request from now on. Safe for many threads, which call `observe` and `begin`.

    Args:
        request_id: the sidecar's id of the request; None without one.
        texts: which texts are recorded: `all` are the prompts and the replies.
        publish: called with `{list: entry}` for each new entry. A call is published twice: at its start, and complete
            at its end. One that was never made has `made` false then.

    """

    def __init__(
        self, request_id: str | None = None, *, texts: Texts = "none", publish: Publish = lambda _: None
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self._request_id = request_id
        self._texts = texts
        self._publish = publish
        self._began = time.monotonic()
        self._started = datetime.datetime.now(datetime.timezone.utc)
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._calls: list[dict[str, Any]] = []
        self._waits: list[dict[str, Any]] = []
        self._events: list[dict[str, Any]] = []

    def observe(self, event: Event) -> None:
        """Record a progress event; calls are recorded by `begin`."""
        now = self._now()
        found: dict[str, Any] | None = None
        match event:
            case CallDelayed():
                wait = {**_label(event), "started": now, "seconds": round(event.seconds, 4), **_error(event.error)}
                self._add("waits", self._waits, wait)
            case CallHedged():
                found = {"kind": "hedged", **_label(event), "seconds": event.seconds}
            case PlansCompared():
                found = {"kind": "plans_compared", "candidate": event.candidate, **_groups(event, "plans")}
            case CandidatesCompared():
                found = {"kind": "candidates_compared", **_groups(event, "candidates")}
            case CandidateRated():
                found = {"kind": "rated", "candidate": event.candidate, "rating": event.rating}
        if found is not None:
            self._add("events", self._events, {"at": now, **found, "message": describe(event)})

    def begin(self, request: ChatRequest) -> Callable[[Completion | CepoError, float], None]:
        """Note that a call begins; what is returned records its end, and the seconds that it took."""
        call: dict[str, Any] = {
            "number": next(self._numbers),
            **_label(request),
            "model": request.model,
            "started": self._now(),
            "max_tokens": request.max_tokens,
        }
        self._publish({"calls": call})

        def end(result: Completion | CepoError, seconds: float) -> None:
            if isinstance(result, CepoError) and not result.sent:
                self._publish({"calls": {**call, "made": False}})
            else:
                finished = {**call, "seconds": round(seconds, 4), **self._result(request, result)}
                self._add("calls", self._calls, finished)

        return end

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
                "calls": sorted(self._calls, key=lambda call: (call["started"], call["number"])),
                "waits": list(self._waits),
                "events": list(self._events),
            }

    def _result(self, request: ChatRequest, result: Completion | CepoError) -> dict[str, Any]:
        """Return what came of a call."""
        prompts = [_shortened(message.wire()) for message in request.messages] if self._texts == "all" else None
        found: dict[str, Any] = {} if prompts is None else {"messages": prompts}
        if isinstance(result, CepoError):
            return found | _error(result)
        usage = result.usage
        if not result.usable:
            found["usable"] = False  # cut, filtered or empty: the step did not use it
        found |= {
            "finish_reason": result.finish_reason,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
        }
        if self._texts != "none":
            found |= {"text": _cut(result.text), "reasoning": _cut(result.reasoning)}
        return found

    def _now(self) -> float:
        return round(time.monotonic() - self._began, 4)

    def _add(self, name: str, kept: list[dict[str, Any]], entry: dict[str, Any]) -> None:
        with self._lock:
            if len(kept) >= MOST_CALLS:
                return
            kept.append(entry)
        self._publish({name: entry})


def _label(labelled: CallDelayed | CallHedged | ChatRequest) -> dict[str, Any]:
    return {"step": labelled.label.step.value, "candidate": labelled.label.candidate}


def _groups(event: PlansCompared | CandidatesCompared, of: str) -> dict[str, Any]:
    """Return how many were compared, how many agree, and the groups of equal ones."""
    groups = [list(group) for group in event.groups]
    return {"agreeing": len(groups[0]), of: sum(map(len, groups)), "groups": groups}


def _error(error: CepoError) -> dict[str, Any]:
    """Return an error's code and message, which are safe to show."""
    return {"error": error.code or error.type, "message": error.message}


def _shortened(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    return {**message, "content": _cut(content)} if isinstance(content, str) else message


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}… ({len(text) - MOST_TEXT} more characters)"
