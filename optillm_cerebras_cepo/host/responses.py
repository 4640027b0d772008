"""Replies and errors for OptiLLM and the client: a chat.completion, an answer's text, or an error with its status."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import flask

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.cepo.outcome import Answer
from optillm_cerebras_cepo.core.errors import BadRequest, CepoError, ErrorScope
from optillm_cerebras_cepo.session import RequestResult


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


# OptiLLM's defect: an_answer_is_cut_at_a_speakers_name
class UncutAnswer(str):
    """An answer that OptiLLM does not cut.

    OptiLLM takes a string that contains "User:" or "Assistant:" for a conversation, and keeps what follows the last of
    them (server.py:680). This string denies that it contains them.
    """

    __slots__ = ()

    def __contains__(self, part: object) -> bool:
        return part not in ("User:", "Assistant:") and isinstance(part, str) and super().__contains__(part)


MAX_RETRY_AFTER = 60.0  # seconds: the longest retry-after that OpenAI's Python client obeys
STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # proxies must not buffer the stream
FINGERPRINT = f"fp_cepo_cerebras_{__version__}"  # the Cerebras SDK reads no stream whose chunks have none
EMPTY: dict[str, Any] = {"choices": [], "usage": {}}  # for OptiLLM, where `send_events` makes the response


def full(result: RequestResult) -> dict[str, Any]:
    """Return the chat.completion with OpenAI's fields, and ours under `cepo_cerebras`."""
    # OptiLLM's defect: replies_have_no_id_and_half_a_usage
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": result.model,
        "system_fingerprint": FINGERPRINT,
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
        counts = [answer.usage for answer in result.outcome.answers]
        prompt = counts[0].prompt_tokens or 0  # as the API counts `n` answers: their prompt once
        reply = sum(count.completion_tokens or 0 for count in counts)
        reasoning = sum(count.reasoning_tokens for count in counts)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": reply,
        "total_tokens": prompt + reply,
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }


def account(result: RequestResult) -> dict[str, Any]:
    """Return the reply's `cepo_cerebras` object: how the answer was made, and its cost."""
    outcome, total = result.outcome, result.ledger.total
    return {
        "effort": result.settings.effort,
        "planned": result.planned,
        **({"forwarded": result.forwarded} if result.forwarded else {}),
        "model": result.model,
        "calls": total.calls,
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "usage": {
            step.value: {
                "calls": spent.calls,
                "prompt_tokens": spent.prompt_tokens,
                "completion_tokens": spent.completion_tokens,
            }
            for step, spent in result.ledger.by_step.items()
        },
        "uncounted": total.uncounted,
        "candidates": [
            {"candidate": candidate.number, "rating": rating, "chosen": candidate.number == outcome.chosen}
            for candidate, rating in zip(outcome.candidates, outcome.ratings, strict=True)
        ],
        "agreement": outcome.agreement,
        "degraded": list(result.degraded),
        "fitted": list(result.fitted),
        "seconds": round(result.seconds, 3),
    }


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or (None if answer.tool_calls else "")}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = list(answer.tool_calls)
    return message


def text(result: RequestResult) -> UncutAnswer:
    """Return the answer's text, for the replies that OptiLLM makes."""
    return UncutAnswer(result.outcome.answer)


def _send(response: flask.Response) -> None:
    """Replace the response that OptiLLM will make for the current request."""

    @flask.after_this_request
    def replace(_: flask.Response) -> flask.Response:
        return response


def send_events(events: Iterator[str], on_close: Callable[[], None]) -> None:
    """Answer the current request with a stream of events; call `on_close` when it has ended or the client has left."""
    response = flask.Response(events, content_type="text/event-stream", headers=STREAM_HEADERS)
    response.call_on_close(on_close)
    _send(response)


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
