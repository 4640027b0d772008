"""From an answer to what goes over the wire: one chat.completion object, or the chunks of a stream."""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from . import tokens
from .admission import Accepted
from .answers import Answer, FinishReason, ToolUse
from .faults import Fault
from .latency import Timing
from .schema import ChatCompletionServerRequest

CHUNK_TOKENS = 16
"""Tokens in one chunk of a stream."""

ARGUMENT_TOKENS = 2
"""Tokens in one chunk of a tool call: arguments are short, and a client has to put their pieces together."""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Completed:
    """A finished call: what the client gets and what it costs, in tokens. Reasoning counts as completion.

    `tools` are pairs of an id and what is called.
    """

    id: str
    model: str
    content: str
    reasoning: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    detailed: bool
    fault: Fault | None
    tools: tuple[tuple[str, ToolUse], ...] = ()


def complete(accepted: Accepted, answer: Answer) -> Completed:
    """Apply stop sequences, then the output limit: reasoning is spent first, as on the real API.

    The faults `length` and `content_filter` halve the answer.
    """
    request, limit = accepted.request, accepted.output_limit
    off = not accepted.model.reasons or request.reasoning_effort == "none" or bool(request.disable_reasoning)
    thought = "" if off else answer.reasoning
    called = _called(request, answer)
    text = "" if called else answer.text
    for stop in request.stops:
        text = text.partition(stop)[0]
    reason: FinishReason = "tool_calls" if called else "stop"
    whole = tokens.count(thought) + tokens.count(text) + sum(map(_tokens_of, called))
    if answer.fault in ("length", "content_filter"):
        limit = min(limit, whole // 2)
    if whole > limit:
        reason = "content_filter" if answer.fault == "content_filter" else "length"
    thought = tokens.cut(thought, limit)
    spent = tokens.count(thought)
    text = tokens.cut(text, limit - spent)
    called = _cut(called, limit - spent)
    total = spent + tokens.count(text) + sum(map(_tokens_of, called))
    number = next(_numbers)
    if thought and request.reasoning_format == "raw":
        text, thought = f"<think>{thought}</think>{text}", ""
    return Completed(
        id=f"chatcmpl-simulated-{number}",
        model=accepted.model.id,
        content=text,
        reasoning="" if request.reasoning_format == "hidden" else thought,
        finish_reason=answer.finish_reason or reason,
        prompt_tokens=accepted.prompt_tokens,
        completion_tokens=total,
        reasoning_tokens=spent,
        detailed=accepted.model.reasons,
        fault=answer.fault,
        tools=tuple((f"call_simulated_{number}_{position}", use) for position, use in enumerate(called)),
    )


def body(done: Completed, timing: Timing) -> dict[str, Any]:
    """The chat.completion object, with the fault worked in."""
    message: dict[str, Any] = {"role": "assistant", "content": _content(done)}
    if done.reasoning:
        message["reasoning"] = done.reasoning
    if done.tools:
        message["tool_calls"] = [{"id": name, **_function(use)} for name, use in done.tools]
    choices: list[dict[str, Any]] | None = [{"index": 0, "message": message, "finish_reason": done.finish_reason}]
    if done.fault in ("no_choices", "null_choices"):
        choices = [] if done.fault == "no_choices" else None
    return {**_head(done, "chat.completion"), "choices": choices, **_tail(done, timing)}


def chunks(done: Completed) -> list[dict[str, Any]]:
    """The chunks that carry text: first the role, then reasoning, then content, then tool calls.

    Of a tool call the first piece has its id and name, the others bring its arguments, as OpenAI streams it. [assumed]
    """
    head = _head(done, "chat.completion.chunk")
    if done.fault in ("no_choices", "null_choices"):
        return [{**head, "choices": [] if done.fault == "no_choices" else None}]
    deltas: list[dict[str, Any]] = [{"role": "assistant"}]
    deltas += [{"reasoning": piece} for piece in _pieces(done.reasoning)]
    deltas += [{"content": piece} for piece in _pieces(_content(done) or "")]
    for index, (name, use) in enumerate(done.tools):
        first = {"index": index, "id": name, **_function(ToolUse(use.name, ""))}
        rest = [{"index": index, "function": {"arguments": piece}} for piece in _pieces(use.arguments, ARGUMENT_TOKENS)]
        deltas += [{"tool_calls": [_numbered(part, done.fault)]} for part in (first, *rest)]
    return [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]


def _numbered(piece: dict[str, Any], fault: Fault | None) -> dict[str, Any]:
    """A piece of a tool call with the index that it goes out with."""
    if fault == "no_tool_index":
        return {name: value for name, value in piece.items() if name != "index"}
    return {**piece, "index": 0} if fault == "one_tool_index" else piece


def last_chunk(done: Completed, timing: Timing) -> dict[str, Any]:
    """The chunk that ends a stream: finish_reason, usage and time_info, no text."""
    choices: list[dict[str, Any]] = [{"index": 0, "delta": {}, "finish_reason": done.finish_reason}]
    if done.fault in ("no_choices", "null_choices"):
        choices = []
    return {**_head(done, "chat.completion.chunk"), "choices": choices, **_tail(done, timing)}


def event(chunk: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def _called(request: ChatCompletionServerRequest, answer: Answer) -> tuple[ToolUse, ...]:
    """The answer's tool calls that the request allows: a model calls what it was offered and nothing else."""
    called = tuple(use for use in answer.tool_calls if use.name in request.offered)
    return called[:1] if request.parallel_tool_calls is False else called


def _cut(called: Sequence[ToolUse], limit: int) -> tuple[ToolUse, ...]:
    """As much of the tool calls as the limit leaves room for; of the last one some arguments may be missing."""
    kept = []
    for use in called:
        left = limit - tokens.count(use.name)
        if left < 0:
            break
        kept.append(dataclasses.replace(use, arguments=tokens.cut(use.arguments, left)))
        limit -= _tokens_of(use)
    return tuple(kept)


def _tokens_of(use: ToolUse) -> int:
    return tokens.count(use.name) + tokens.count(use.arguments)


def _function(use: ToolUse) -> dict[str, Any]:
    return {"type": "function", "function": {"name": use.name, "arguments": use.arguments}}


def _content(done: Completed) -> str | None:
    if done.fault == "null_content":
        return None
    if done.fault == "empty_content":
        return ""
    return done.content or (None if done.tools else "")


def _pieces(text: str, of: int = CHUNK_TOKENS) -> Iterator[str]:
    size = of * tokens.CHARACTERS_PER_TOKEN
    return (text[start : start + size] for start in range(0, len(text), size))


def _head(done: Completed, kind: str) -> dict[str, Any]:
    return {
        "id": done.id,
        "object": kind,
        "created": int(time.time()),
        "model": done.model,
        "system_fingerprint": "fp_simulated",
    }


def _tail(done: Completed, timing: Timing) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.completion_tokens,
        "total_tokens": done.prompt_tokens + done.completion_tokens,
    }
    if done.detailed:
        usage["prompt_tokens_details"] = {"cached_tokens": 0}
        usage["completion_tokens_details"] = {"reasoning_tokens": done.reasoning_tokens}
    time_info = {
        "queue_time": 0.0,
        "prompt_time": timing.prompt,
        "completion_time": timing.completion,
        "total_time": timing.total,
        "created": time.time(),
    }
    return {"time_info": time_info} if done.fault == "no_usage" else {"usage": usage, "time_info": time_info}
