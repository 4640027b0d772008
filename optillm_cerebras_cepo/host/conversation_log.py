"""OptiLLM's conversation log (`--log-conversations`): adds each of our calls to the entry of its request.

OptiLLM keeps an entry for each request and writes it when it has a reply. In batch mode it calls plugins outside of a
request context and never writes the entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion
from optillm_cerebras_cepo.core.errors import CepoError


class LogEntry:
    """An entry of the log that OptiLLM has not written yet.

    Args:
        log: OptiLLM's conversation logger.
        key: id of the entry.
        hold: hide the entry from OptiLLM, which warns twice that it is missing; the caller must `finish` it. For a
            stream, which goes on when OptiLLM has its reply and would write the entry.

    """

    def __init__(self, log: Any, key: str, *, hold: bool = False) -> None:
        self._log = log
        self._key = f"{key} held" if hold else key
        if hold:
            log.active_entries[self._key] = log.active_entries.pop(key)  # in the file the entry keeps its own id

    def record(self, request: ChatRequest, result: Completion | CepoError) -> None:
        """Add a call. Does nothing when the entry is written, for a cancelled call may end later."""
        if self._key in self._log.active_entries:
            self._log.log_provider_call(self._key, request.body(), _received(request, result))

    def finish(self, final_response: Mapping[str, Any] | None, error: str | None) -> None:
        """Write the entry with the response or the error that the client gets. Does nothing when it is written."""
        if self._key not in self._log.active_entries:
            return
        if final_response is not None:
            self._log.log_final_response(self._key, dict(final_response))
        if error is not None:
            self._log.log_error(self._key, error)
        self._log.finalize_conversation(self._key)


def _received(request: ChatRequest, result: Completion | CepoError) -> dict[str, Any]:
    """Return the known fields of the reply, or the error, with the step and the candidate of the call."""
    label = {"cepo_cerebras": {"step": request.label.step.value, "candidate": request.label.candidate}}
    if isinstance(result, CepoError):
        return {**result.body(), **label}
    message: dict[str, Any] = {"role": "assistant", "content": result.text}
    if result.reasoning:
        message["reasoning"] = result.reasoning
    if result.tool_calls:
        message["tool_calls"] = list(result.tool_calls)
    prompt, completion = result.usage.prompt_tokens, result.usage.completion_tokens
    total = None if prompt is None or completion is None else prompt + completion
    return {
        "object": "chat.completion",
        "model": result.model,
        "choices": [{"index": 0, "message": message, "finish_reason": result.finish_reason}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total},
        **label,
    }
