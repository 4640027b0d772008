"""A reply as server-sent events in OpenAI's format: progress as `reasoning_content`, then the answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flask

from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.core.events import Event, describe
from optillm_cerebras_cepo.host import responses
from optillm_cerebras_cepo.host.execution import POLL, ContentDelta, Execution, TraceEntry, Update, defect
from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.session import RequestResult

HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # proxies must not buffer the stream
HEARTBEAT = 5.0  # seconds without an event after which a comment is sent, for proxies close idle connections
CHUNK_LENGTH = 200  # characters of an answer's text
OPENING_TAG, CLOSING_TAG = "<think>", "</think>"


def send_events(execution: Execution, request: CepoRequest, hung_up: Callable[[], bool]) -> None:
    """Answer the current request with a stream of the events of a started execution."""
    events = _events(execution, request, hung_up)
    response = flask.Response(events, content_type="text/event-stream", headers=HEADERS)
    response.call_on_close(execution.give_up)
    responses.send(response)


def _events(execution: Execution, request: CepoRequest, hung_up: Callable[[], bool]) -> Iterator[str]:
    """Yield events until the execution ends or the client hangs up."""
    chunks = _Chunks(request)
    try:
        for index in range(request.parameters.n):
            yield chunks.delta(index, role="assistant", content="")
        sent = time.monotonic()
        for update in execution.updates(POLL):
            if hung_up():
                return
            for event in chunks.events(update):
                sent = time.monotonic()
                yield event
            if time.monotonic() - sent >= HEARTBEAT:
                sent = time.monotonic()
                yield ": working\n\n"
    except (GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # the server would log its message, which may quote the request
        execution.give_up()
        yield _event(defect(error).body())


class _Chunks:
    """The chunks of one stream, which share an id, and what has been sent of the answer."""

    def __init__(self, request: CepoRequest) -> None:
        self._head = responses.head("chat.completion.chunk", lookup(request.settings.model[0]).id)
        self._include_usage = request.parameters.include_usage
        self._show_progress = request.settings.progress
        self._has_begun = False  # part of the answer has been sent
        self._pending = ""  # the beginning of the answer's text, while it may be the model's reasoning

    def delta(self, index: int, **delta: Any) -> str:
        """Return a chunk that adds to the message of one choice."""
        return self._chunk([{"index": index, "delta": delta, "finish_reason": None}])

    def events(self, update: Update) -> Iterator[str]:
        """Yield the events for an update."""
        match update:
            case ContentDelta():
                yield from self._content(update.delta)
            case TraceEntry():
                yield self._chunk([], cepo_cerebras={"trace": update.entry})
            case RequestResult():
                yield from self._end(update)
            case CepoError():
                yield _event(update.body())
            case _ if isinstance(update, Event):
                # Clients show all reasoning above the answer, whenever it comes.
                if self._show_progress and not self._has_begun:
                    yield self.delta(0, reasoning_content=describe(update) + "\n")

    def _content(self, delta: Mapping[str, Any]) -> Iterator[str]:
        """Yield chunks for a chunk of the model's own reply."""
        if "reasoning" in delta:
            yield self.delta(0, reasoning_content=delta["reasoning"])
        if "tool_calls" in delta:
            self._has_begun = True
            yield self.delta(0, tool_calls=delta["tool_calls"])
        if text := self._without_reasoning(delta.get("content", "")):
            self._has_begun = True
            yield self.delta(0, content=text)

    def _end(self, result: RequestResult) -> Iterator[str]:
        """Yield the answers as far as they have not been sent, their finish reasons, and the usage."""
        self._head["model"] = result.model
        last = len(result.outcome.answers) - 1
        for index, answer in enumerate(result.outcome.answers):
            if not self._has_begun:
                if answer.reasoning:
                    yield self.delta(index, reasoning_content=answer.reasoning)
                for start in range(0, len(answer.text), CHUNK_LENGTH):
                    yield self.delta(index, content=answer.text[start : start + CHUNK_LENGTH])
                if calls := answer.tool_calls:
                    yield self.delta(index, tool_calls=[{"index": at, **call} for at, call in enumerate(calls)])
            choice = {"index": index, "delta": {}, "finish_reason": answer.finish_reason}
            yield self._chunk([choice], **({"cepo_cerebras": responses.account(result)} if index == last else {}))
        if self._include_usage:
            yield self._chunk([], usage=responses.usage(result))
        yield "data: [DONE]\n\n"

    def _without_reasoning(self, text: str) -> str:
        """Return what can be sent of the text: nothing while it may be, or is, reasoning between think tags.

        Reasoning that has the closing tag only is recognised in a whole reply, but not in a stream.
        """
        if self._has_begun:
            return text
        self._pending += text
        pending = self._pending.lstrip()
        if OPENING_TAG.startswith(pending[: len(OPENING_TAG)]):
            _, _, pending = pending.partition(CLOSING_TAG)  # empty without a closing tag
        return pending.lstrip()

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> str:
        usage = {"usage": None} if self._include_usage else {}
        return _event({**self._head, "choices": choices, **usage, **more})


def _event(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"
