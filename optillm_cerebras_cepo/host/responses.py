"""Replies and errors for the client: a chat.completion, a stream of events, or an error with its status.

A stream has server-sent events in OpenAI's format: progress as `reasoning_content`, then the answer.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flask

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.cepo.outcome import Answer
from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.core.chat import CallDelayed, CallFinished, CandidateRated, PlansCompared, describe
from optillm_cerebras_cepo.core.errors import BadRequest, CepoError, ErrorScope
from optillm_cerebras_cepo.host.execution import POLL, ContentDelta, Execution, Update, defect
from optillm_cerebras_cepo.llm.metering import UsageTotals
from optillm_cerebras_cepo.llm.models import lookup
from optillm_cerebras_cepo.session import RequestResult

MAX_RETRY_AFTER = 60.0  # seconds: the longest retry-after that OpenAI's Python client obeys
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # proxies must not buffer the stream
FINGERPRINT = f"fp_cepo_cerebras_{__version__}"  # the Cerebras SDK reads no stream whose chunks have none
HEARTBEAT = 5.0  # seconds without an event after which a comment is sent, for proxies close idle connections
CHUNK_LENGTH = 200  # characters of an answer's text
OPENING_TAG, CLOSING_TAG = "<think>", "</think>"


class BodyTooLarge(BadRequest, status=413, code="request_too_large"):
    """The request's body is larger than any conversation that a model could read."""


class WrongClientKey(
    CepoError,
    status=401,
    type="authentication_error",
    code="wrong_client_key",
    scope=ErrorScope.REQUEST,
    discards_answers=True,
):
    """The client's key is not this server's client key. Errors about the server's Cerebras key have other codes."""


class NotACerebrasClient(BadRequest, code="not_a_cerebras_client"):
    """OptiLLM has passed a client of another provider."""


class HostError(CepoError, code="optillm", scope=ErrorScope.REQUEST, discards_answers=True):
    """An error of OptiLLM itself, with its message and status."""


def full(result: RequestResult) -> dict[str, Any]:
    """Return the chat.completion with OpenAI's fields, and ours under `cepo_cerebras`."""
    # OptiLLM's defect: replies_have_no_id_and_half_a_usage
    return {
        **_head("chat.completion", result.model),
        "choices": [
            {"index": index, "message": _message(answer), "finish_reason": answer.finish_reason, "logprobs": None}
            for index, answer in enumerate(result.outcome.answers)
        ],
        "usage": usage(result),
        "cepo_cerebras": account(result),
    }


def usage(result: RequestResult) -> dict[str, Any]:
    """Return the tokens of all calls, or of those that wrote the answers, under OpenAI's names."""
    total = result.ledger.total
    prompt, reply, reasoning = total.prompt_tokens, total.completion_tokens, total.reasoning_tokens
    if result.settings.usage == "answer":
        usages = [answer.usage for answer in result.outcome.answers]
        prompt = usages[0].prompt_tokens or 0  # as the API counts `n` answers: their prompt once
        reply = sum(one.completion_tokens or 0 for one in usages)
        reasoning = sum(one.reasoning_tokens for one in usages)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": reply,
        "total_tokens": prompt + reply,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def account(result: RequestResult) -> dict[str, Any]:
    """Return the reply's `cepo_cerebras` object: how the answer was made, and its cost."""
    outcome = result.outcome
    return {
        "effort": result.settings.effort,
        "planned": result.planned,
        **({"forwarded": result.forwarded} if result.forwarded else {}),
        "model": result.model,
        **counts(result.ledger.total),
        "usage": {step.value: counts(tally) for step, tally in result.ledger.by_step.items()},
        "uncounted": result.ledger.total.uncounted,
        "candidates": [
            {"candidate": candidate.number, "rating": rating, "chosen": candidate.number == outcome.chosen}
            for candidate, rating in zip(outcome.candidates, outcome.ratings, strict=True)
        ],
        "agreement": outcome.agreement,
        "degraded": list(result.degraded),
        "fitted": list(result.fitted),
        "seconds": round(result.seconds, 3),
    }


def counts(spent: UsageTotals) -> dict[str, int]:
    """Return calls and tokens under the names of the reply's `cepo_cerebras` object and of the access log."""
    return {"calls": spent.calls, "prompt_tokens": spent.prompt_tokens, "completion_tokens": spent.completion_tokens}


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or (None if answer.tool_calls else "")}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = list(answer.tool_calls)
    return message


def _head(kind: str, model: str) -> dict[str, Any]:
    """Return the fields with which a chat.completion and each chunk of a stream begin."""
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": FINGERPRINT,
    }


def _send(response: flask.Response) -> None:
    """Replace the response that OptiLLM will make for the current request."""

    @flask.after_this_request
    def replace(_: flask.Response) -> flask.Response:
        return response


def send_error(error: CepoError) -> None:
    """Answer the current request with an error, which OptiLLM would turn into status 500.

    In batch mode there is no current request: there OptiLLM's 500 with our message is sent.
    """
    # OptiLLM's defect: every_error_is_a_500
    if flask.has_request_context():
        _send(error_response(error))


def error_response(error: CepoError) -> flask.Response:
    """Return the response for an error, in OpenAI's format."""
    response = flask.jsonify(error.body())
    response.status_code = error.status
    response.headers.update(error_headers(error))
    return response


def error_headers(error: CepoError) -> dict[str, str]:
    """Return the headers that tell OpenAI's clients whether to retry.

    By default they retry after 408, 409, 429 and 5xx, up to twice. All calls have been retried here already, so another
    try helps only if the API has said when it will be ready, and only up to the longest wait that the clients obey.
    """
    is_soon = error.retry_after is not None and error.retry_after <= MAX_RETRY_AFTER
    headers = {"x-should-retry": "true" if error.client_may_retry and is_soon else "false"}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    return headers


def send_events(execution: Execution, request: CepoRequest, hung_up: Callable[[], bool]) -> None:
    """Answer the current request with a stream of the events of a started execution."""
    events = _events(execution, request, hung_up)
    response = flask.Response(events, content_type="text/event-stream", headers=STREAM_HEADERS)
    response.call_on_close(execution.give_up)
    _send(response)


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
        self._head = _head("chat.completion.chunk", lookup(request.settings.model[0]).id)
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
            case RequestResult():
                yield from self._end(update)
            case CepoError():
                yield _event(update.body())
            case CallFinished() | CallDelayed() | PlansCompared() | CandidateRated():
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
            yield self._chunk([choice], **({"cepo_cerebras": account(result)} if index == last else {}))
        if self._include_usage:
            yield self._chunk([], usage=usage(result))
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
        no_usage = {"usage": None} if self._include_usage else {}
        return _event({**self._head, "choices": choices, **no_usage, **more})


def _event(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body)}\n\n"
