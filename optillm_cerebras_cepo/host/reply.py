"""What goes back to OptiLLM, and through it to the client: a full reply, a bare text, or an error with its status."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import flask

from optillm_cerebras_cepo.cepo.outcome import Answer
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.runtime import Solved


# OptiLLM's defect: an_answer_is_cut_at_a_speakers_name
class Whole(str):
    """An answer that OptiLLM leaves whole.

    It cuts a plain string at the last "User:" or "Assistant:" in it, taking it for a conversation (server.py:680): this
    one denies that it holds them, and is a string in every other way.
    """

    __slots__ = ()

    def __contains__(self, part: object) -> bool:
        return part not in ("User:", "Assistant:") and isinstance(part, str) and super().__contains__(part)


SOON = 60.0  # seconds: the longest retry-after that OpenAI's Python client keeps to
UNBUFFERED = {"cache-control": "no-cache", "x-accel-buffering": "no"}  # of a stream: a proxy is to pass it on at once
EMPTY: dict[str, Any] = {"choices": [], "usage": {}}  # what OptiLLM is given when the response is made elsewhere


def full(solved: Solved) -> dict[str, Any]:
    """A chat.completion with OpenAI's fields, and ours under `cepo_cerebras`."""
    # OptiLLM's defect: replies_have_no_id_and_half_a_usage
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": solved.model,
        "choices": [
            {"index": index, "message": _message(answer), "finish_reason": answer.finish_reason, "logprobs": None}
            for index, answer in enumerate(solved.outcome.answers)
        ],
        "usage": usage(solved),
        "cepo_cerebras": account(solved),
    }


def usage(solved: Solved) -> dict[str, Any]:
    """All that was spent on the request, under OpenAI's names."""
    total = solved.ledger.total
    return {
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "total_tokens": total.total_tokens,
        "completion_tokens_details": {"reasoning_tokens": total.reasoning_tokens},
    }


def account(solved: Solved) -> dict[str, Any]:
    """How the answer came about and what it took."""
    outcome, forwarded = solved.outcome, solved.forwarded
    return {
        "effort": solved.settings.effort,
        "planned": solved.planned,
        **({"forwarded": forwarded} if forwarded else {}),
        "model": solved.model,
        "calls": solved.ledger.total.calls,
        "usage": {
            step.value: {
                "calls": spent.calls,
                "prompt_tokens": spent.prompt_tokens,
                "completion_tokens": spent.completion_tokens,
            }
            for step, spent in solved.ledger.by_step.items()
        },
        "uncounted": solved.ledger.total.uncounted,
        "candidates": [
            {"candidate": candidate.number, "rating": rating, "chosen": candidate.number == outcome.chosen}
            for candidate, rating in zip(outcome.candidates, outcome.ratings, strict=True)
        ],
        "agreement": outcome.agreement,
        "degraded": list(solved.degraded),
        "fitted": list(solved.fitted),
        "seconds": round(solved.seconds, 3),
    }


def _message(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or (None if answer.tool_calls else "")}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = list(answer.tool_calls)
    return message


def text(solved: Solved) -> Whole:
    """The answer alone, for OptiLLM's combinations, batches and several answers."""
    return Whole(solved.outcome.answer)


def send(response: flask.Response) -> None:
    """Answer the request with this, whatever OptiLLM makes of what the plugin returns."""

    @flask.after_this_request
    def replace(_: flask.Response) -> flask.Response:
        return response


def send_events(events: Iterator[str], on_close: Callable[[], None]) -> None:
    """Answer the request with these events, each as soon as it is there; call `on_close` when nobody reads on."""
    response = flask.Response(events, content_type="text/event-stream", headers=UNBUFFERED)
    response.call_on_close(on_close)
    send(response)


def send_error(error: CepoError) -> None:
    """Have the error answered with its own status and body.

    OptiLLM makes HTTP 500 of every exception; inside a request its response is replaced by ours. Outside of one, in
    batch mode, OptiLLM's 500 with our message stays.
    """
    # OptiLLM's defect: every_error_is_a_500
    if flask.has_request_context():
        send(error_response(error))


def error_response(error: CepoError) -> flask.Response:
    """The error as OpenAI's clients read it."""
    response = flask.jsonify(error.body())
    response.status_code = error.status
    response.headers.update(error_headers(error))
    return response


def error_headers(error: CepoError) -> dict[str, str]:
    """What OpenAI's clients are told of another try.

    They would begin anew what failed with 408, 409, 429 or 5xx, up to twice. All its calls have been tried again
    already: only where the API says when it will be ready is another try of any use, and only where that is soon, for
    they either wait as long without a word, or not as long.
    """
    soon = error.retry_after is not None and error.retry_after <= SOON
    headers = {"x-should-retry": "true" if error.again and soon else "false"}
    if error.retry_after is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    return headers
