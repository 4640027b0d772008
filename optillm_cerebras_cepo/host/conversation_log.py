"""OptiLLM's conversation log (`--log-conversations`): every call of ours is in it, as those of its own approaches are.

OptiLLM keeps an entry for each request that it works on, and writes it when it has answered. It tells its approaches
the entry's id and plugins nothing; but the entry holds the very list of messages that Flask has parsed, and Flask gives
the same one to all who ask. In batch mode OptiLLM asks plugins outside of a request, and never writes the entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import flask
import optillm.server as server

from optillm_cerebras_cepo.chat import ChatRequest, Completion
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.llm.record import Recorder


def recorder() -> Recorder | None:
    """What writes calls into the entry of the request that this thread serves; None where there is no entry."""
    request_id = _request_id()
    return None if request_id is None else _into(server.conversation_logger, request_id)


class Held:
    """An entry that OptiLLM does not find when it answers, so that calls can be added until `finish`.

    OptiLLM warns twice that it has no such conversation: once for the reply that it would log, once for the writing.
    """

    def __init__(self, log: Any, request_id: str) -> None:
        self._log = log
        self._key = f"{request_id} held"  # OptiLLM's own functions find it by this; in the file it has its own id
        with log._lock:
            log.active_entries[self._key] = log.active_entries.pop(request_id)
        self.recorder = _into(log, self._key)

    def finish(self, final_response: Mapping[str, Any] | None, error: str | None) -> None:
        """Write the entry, with the response that the client got or the error that it was told. Only once."""
        if self._key not in self._log.active_entries:
            return
        if final_response is not None:
            self._log.log_final_response(self._key, dict(final_response))
        if error is not None:
            self._log.log_error(self._key, error)
        self._log.finalize_conversation(self._key)


def hold() -> Held | None:
    """Take the entry of the request that this thread serves from OptiLLM; None where there is none.

    For a request that goes on after OptiLLM was given a reply. Whoever holds an entry has to finish it.
    """
    request_id = _request_id()
    return None if request_id is None else Held(server.conversation_logger, request_id)


def _request_id() -> str | None:
    log = server.conversation_logger
    if log is None or not log.enabled or not flask.has_request_context():
        return None
    body = flask.request.get_json(silent=True)
    messages = body.get("messages") if isinstance(body, dict) else None
    with log._lock:
        for request_id, entry in log.active_entries.items():
            if messages is not None and entry.client_request["messages"] is messages:
                return str(request_id)
    return None


def _into(log: Any, request_id: str) -> Recorder:
    def record(request: ChatRequest, result: Completion | CepoError) -> None:
        # A call that was given up may come back when the entry is written: OptiLLM would warn of it.
        if request_id in log.active_entries:
            log.log_provider_call(request_id, request.body(), _received(request, result))

    return record


def _received(request: ChatRequest, result: Completion | CepoError) -> dict[str, Any]:
    """The reply as a chat.completion, of the fields that are known here, or the error; and whose call it was."""
    ours = {"step": request.label.step.value, "candidate": request.label.candidate}
    if isinstance(result, CepoError):
        return {**result.body(), "cepo_cerebras": ours}
    message: dict[str, Any] = {"role": "assistant", "content": result.text}
    if result.reasoning:
        message["reasoning"] = result.reasoning
    if result.tool_calls:
        message["tool_calls"] = list(result.tool_calls)
    prompt, completion = result.usage.prompt_tokens, result.usage.completion_tokens
    return {
        "object": "chat.completion",
        "model": result.model,
        "choices": [{"index": 0, "message": message, "finish_reason": result.finish_reason}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": None if prompt is None or completion is None else prompt + completion,
        },
        "cepo_cerebras": ours,
    }
