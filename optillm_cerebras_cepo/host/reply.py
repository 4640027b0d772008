"""What goes back to OptiLLM, and through it to the client: a full reply, a bare text, or an error with its status."""

from __future__ import annotations

import time
import uuid
from typing import Any

import flask

from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.runtime import Solved


class Whole(str):
    """An answer that OptiLLM leaves whole.

    It cuts a plain string at the last "User:" or "Assistant:" in it, taking it for a conversation (server.py:680): this
    one denies that it holds them, and is a string in every other way.
    """

    __slots__ = ()

    def __contains__(self, part: object) -> bool:
        return part not in ("User:", "Assistant:") and isinstance(part, str) and super().__contains__(part)


def full(solved: Solved) -> dict[str, Any]:
    """A chat.completion with OpenAI's fields, and ours under `cepo_cerebras`. OptiLLM hands it through untouched."""
    outcome, total = solved.outcome, solved.ledger.total
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": solved.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": outcome.answer},
                "finish_reason": outcome.finish_reason,
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": total.prompt_tokens,
            "completion_tokens": total.completion_tokens,
            "total_tokens": total.total_tokens,
        },
        "cepo_cerebras": {
            "effort": solved.settings.effort,
            "model": solved.model,
            "calls": total.calls,
            "usage": {
                step.value: {
                    "calls": spent.calls,
                    "prompt_tokens": spent.prompt_tokens,
                    "completion_tokens": spent.completion_tokens,
                }
                for step, spent in solved.ledger.by_step.items()
            },
            "uncounted": total.uncounted,
            "candidates": [
                {"candidate": candidate.number, "rating": rating, "chosen": candidate.number == outcome.chosen}
                for candidate, rating in zip(outcome.candidates, outcome.ratings, strict=True)
            ],
            "agreement": outcome.agreement,
            "degraded": list(solved.degraded),
            "fitted": list(solved.fitted),
            "seconds": round(solved.seconds, 3),
        },
    }


def text(solved: Solved) -> Whole:
    """The answer alone, for OptiLLM's combinations, batches and several answers."""
    return Whole(solved.outcome.answer)


def send_error(error: CepoError) -> None:
    """Have the error answered with its own status and body.

    OptiLLM makes HTTP 500 of every exception; inside a request its response is replaced by ours. Outside of one, in
    batch mode, OptiLLM's 500 with our message stays.
    """
    if not flask.has_request_context():
        return

    @flask.after_this_request
    def replace(_: flask.Response) -> flask.Response:
        response = flask.jsonify(error.body())
        response.status_code = error.status
        if error.retry_after is not None:
            response.headers["retry-after"] = str(max(1, round(error.retry_after)))
        return response
