"""Convert an answer into a chat.completion object, or into the chunks of a stream."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import tokens
from .answers import Answer, FinishReason, ToolUse
from .faults import Fault
from .latency import Timing
from .schema import ChatCompletionServerRequest
from .validation import ValidRequest

CHUNK_TOKENS = 16
"""Tokens in a text chunk of a stream."""

ARGUMENT_TOKENS = 2
"""Tokens in a chunk of a tool call: few, because clients must join the chunks of short arguments too."""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Completed:
    """A finished call: its reply and its tokens. Reasoning tokens are completion tokens.

    `tools` are pairs of an id and a tool call. `tier_used` is the service tier of a call that left it to the API.
    `detailed` says whether usage has the token details of reasoning models.
    """

    id: str
    model: str
    content: str
    reasoning: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cached_tokens: int
    detailed: bool
    fault: Fault | None
    held: bool
    tools: tuple[tuple[str, ToolUse], ...] = ()
    tier_used: str = ""


def complete(valid: ValidRequest, answer: Answer) -> Completed:
    """Apply stop sequences and the output limit, which reasoning uses first, as in the real API.

    The faults `length` and `content_filter` halve the answer.
    """
    request, limit = valid.request, valid.output_limit
    off = not valid.model.reasons or request.reasoning_effort == "none" or bool(request.disable_reasoning)
    reasoning = "" if off else answer.reasoning
    calls = _allowed_calls(request, answer)
    text = "" if calls else answer.text
    for stop in request.stops:
        text = text.partition(stop)[0]
    reason: FinishReason = "tool_calls" if calls else "stop"
    total = tokens.count(reasoning) + tokens.count(text) + sum(map(_count_call, calls))
    if answer.fault in ("length", "content_filter"):
        limit = min(limit, total // 2)
    if total > limit:
        reason = "content_filter" if answer.fault == "content_filter" else "length"
    reasoning = tokens.cut(reasoning, limit)
    reasoning_tokens = tokens.count(reasoning)
    text = tokens.cut(text, limit - reasoning_tokens)
    calls = _cut(calls, limit - reasoning_tokens)
    completion_tokens = reasoning_tokens + tokens.count(text) + sum(map(_count_call, calls))
    number = next(_numbers)
    if reasoning and request.reasoning_format == "raw":
        text, reasoning = f"<think>{reasoning}</think>{text}", ""
    return Completed(
        id=f"chatcmpl-simulated-{number}",
        model=valid.model.id,
        content=text,
        reasoning="" if request.reasoning_format == "hidden" else reasoning,
        finish_reason=answer.finish_reason or reason,
        prompt_tokens=valid.prompt_tokens,
        completion_tokens=completion_tokens,
        reasoning_tokens=reasoning_tokens,
        cached_tokens=valid.cached,
        detailed=valid.model.reasons,
        fault=answer.fault,
        held=answer.held,
        tools=tuple((f"call_simulated_{number}_{index}", call) for index, call in enumerate(calls)),
    )


def body(done: Completed, timing: Timing) -> dict[str, Any]:
    """Return the chat.completion object, with its fault."""
    message: dict[str, Any] = {"role": "assistant", "content": _content(done)}
    if done.reasoning:
        message["reasoning"] = done.reasoning
    if done.tools:
        message["tool_calls"] = [{"id": name, **_function(call)} for name, call in done.tools]
    choices: list[dict[str, Any]] | None = [{"index": 0, "message": message, "finish_reason": done.finish_reason}]
    if done.fault in ("no_choices", "null_choices"):
        choices = [] if done.fault == "no_choices" else None
    return {**_head(done, "chat.completion"), "choices": choices, **_tail(done, timing)}


def chunks(done: Completed) -> list[dict[str, Any]]:
    """Return the chunks before the last: the role, reasoning, content and tool calls.

    The first chunk of a tool call has its id and name, the others its arguments, as in OpenAI's API. [assumed]
    """
    head = _head(done, "chat.completion.chunk")
    if done.fault in ("no_choices", "null_choices"):
        return [{**head, "choices": [] if done.fault == "no_choices" else None}]
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    deltas += [{"reasoning": piece} for piece in _pieces(done.reasoning)]
    deltas += [{"content": piece} for piece in _pieces(_content(done) or "")]
    for index, (name, call) in enumerate(done.tools):
        first = {"index": index, "id": name, **_function(ToolUse(call.name, ""))}
        pieces = _pieces(call.arguments, ARGUMENT_TOKENS)
        rest = [{"index": index, "function": {"arguments": piece}} for piece in pieces]
        deltas += [{"tool_calls": [_indexed(part, done.fault)]} for part in (first, *rest)]
    return [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]


def _indexed(piece: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
    """Return a chunk's tool call with the index that the fault leaves."""
    if fault == "no_tool_index":
        return {name: value for name, value in piece.items() if name != "index"}
    return {**piece, "index": 0} if fault == "one_tool_index" else piece


def last_chunk(done: Completed, timing: Timing) -> dict[str, Any]:
    """Return the last chunk of a stream: finish_reason, usage and time_info, no text."""
    choices: list[dict[str, Any]] = [{"index": 0, "delta": {}, "finish_reason": done.finish_reason}]
    if done.fault in ("no_choices", "null_choices"):
        choices = []
    return {**_head(done, "chat.completion.chunk"), "choices": choices, **_tail(done, timing)}


def event(chunk: dict[str, Any]) -> bytes:
    """Return a server-sent event."""
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def _allowed_calls(request: ChatCompletionServerRequest, answer: Answer) -> tuple[ToolUse, ...]:
    """Return the answer's tool calls that the request allows: calls of offered functions only."""
    calls = tuple(call for call in answer.tool_calls if call.name in request.offered)
    return calls[:1] if request.parallel_tool_calls is False else calls


def _cut(calls: Sequence[ToolUse], limit: int) -> tuple[ToolUse, ...]:
    """Return the tool calls that fit into the limit; the last one may have incomplete arguments."""
    fitting = []
    for call in calls:
        room = limit - tokens.count(call.name)
        if room < 0:
            break
        fitting.append(dataclasses.replace(call, arguments=tokens.cut(call.arguments, room)))
        limit -= _count_call(call)
    return tuple(fitting)


def _count_call(call: ToolUse) -> int:
    return tokens.count(call.name) + tokens.count(call.arguments)


def _function(call: ToolUse) -> dict[str, Any]:
    return {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _content(done: Completed) -> str | None:
    if done.fault == "null_content":
        return None
    if done.fault == "empty_content":
        return ""
    return done.content or (None if done.tools else "")


def _pieces(text: str, chunk_tokens: int = CHUNK_TOKENS) -> Iterator[str]:
    size = chunk_tokens * tokens.CHARACTERS_PER_TOKEN
    return (text[start : start + size] for start in range(0, len(text), size))


def _head(done: Completed, kind: str) -> dict[str, Any]:
    return {
        "id": done.id,
        "object": kind,
        "created": int(time.time()),
        "model": done.model,
        "system_fingerprint": "fp_simulated",
        **({"service_tier_used": done.tier_used} if done.tier_used else {}),
    }


def _tail(done: Completed, timing: Timing) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": done.prompt_tokens + done.completion_tokens,
    }
    if done.detailed:
        usage["prompt_tokens_details"] = {"cached_tokens": done.cached_tokens}
        usage["completion_tokens_details"] = {"reasoning_tokens": done.reasoning_tokens}
    time_info = {
        "queue_time": 0.0,
        "prompt_time": timing.prompt,
        "completion_time": timing.completion,
        "total_time": timing.total,
        "created": time.time(),
    }
    return {"time_info": time_info} if done.fault == "no_usage" else {"usage": usage, "time_info": time_info}
