"""Replies and errors for OptiLLM and the client: a chat.completion, or an error with its status."""

from __future__ import annotations

import time
import uuid
from typing import Any

import flask

from optillm_cerebras_cepo import __version__
from optillm_cerebras_cepo.cepo.outcome import Answer
from optillm_cerebras_cepo.core.errors import BadRequest, CepoError, ErrorScope
from optillm_cerebras_cepo.llm.metering import UsageTotals
from optillm_cerebras_cepo.session import RequestResult

MAX_RETRY_AFTER = 60.0  # seconds: the longest retry-after that OpenAI's Python client obeys
FINGERPRINT = f"fp_cepo_cerebras_{__version__}"  # the Cerebras SDK reads no stream whose chunks have none


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
        **head("chat.completion", result.model),
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
        **({"rating_model": result.judge} if result.judge != result.model else {}),
        **counts(result.ledger.total),
        "usage": {
            step.value: {**counts(spent), "reasoning_tokens": spent.reasoning_tokens, "cost": result.costs[step]}
            for step, spent in result.ledger.by_step.items()
        },
        "cost": result.cost,
        "hedged": result.ledger.total.hedged,
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


def ended(result: RequestResult | CepoError) -> tuple[int, dict[str, Any]]:
    """Return the status of a response, and what its body says beside the answer."""
    if isinstance(result, CepoError):
        return result.status, result.body()
    return 200, {"cepo_cerebras": account(result)}


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


def head(kind: str, model: str) -> dict[str, Any]:
    """Return the fields with which a chat.completion and each chunk of a stream begin."""
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": FINGERPRINT,
    }


def send_cost(result: RequestResult) -> None:
    """Add the cost to the response that OptiLLM makes for the current request, if it is known."""
    if result.cost is None or not flask.has_request_context():
        return
    header = f"{result.cost:.8f}"

    @flask.after_this_request
    def add(response: flask.Response) -> flask.Response:
        response.headers["x-cepo-cerebras-cost"] = header
        return response


def send(response: flask.Response) -> None:
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
        send(error_response(error))


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
