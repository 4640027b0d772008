"""Build a `Completion` from the API's JSON: from a whole reply, or from the chunks of a stream.

Any field may be missing, null or of another type.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from optillm_cerebras_cepo.core.chat import Completion, Usage


class ToolCallAssembly:
    """The tool calls of one stream.

    A piece belongs to the call with its `id`. Without an id it belongs to the call that last had its `index`, and
    without either to the latest call. Some APIs send no index, or the same one for several calls.
    """

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []  # in order of their first pieces
        self._by_id: dict[str, int] = {}
        self._by_index: dict[int, int] = {}
        self._started: set[int] = set()  # calls with a piece that was returned

    def add(self, piece: Mapping[str, Any]) -> dict[str, Any]:
        """Add a piece, and return it with its call's index and type; the first piece of a call has its id as well.

        The Cerebras SDK reads no chunk in which a piece has no type.
        """
        number = self._number(piece)
        call = self.calls[number]
        function = fields(piece.get("function"))
        for name in ("name", "arguments"):
            if isinstance(more := function.get(name), str):
                call["function"][name] += more
        formed = {**piece, "index": number, "type": call["type"]}
        if number not in self._started:
            self._started.add(number)
            formed |= {"id": call["id"], "function": {"name": "", "arguments": "", **function}}
        return formed

    def _number(self, piece: Mapping[str, Any]) -> int:
        """Return the number of the call that a piece belongs to; a new call is added."""
        call_id, index = text(piece.get("id")), piece.get("index")
        index = index if isinstance(index, int) and not isinstance(index, bool) else None
        if call_id:
            number = self._by_id.get(call_id)
        elif index is not None:
            number = self._by_index.get(index)
        else:
            number = len(self.calls) - 1 if self.calls else None
        if number is None:
            number = len(self.calls)
            call_id = call_id or f"call_{uuid.uuid4().hex}"
            kind = text(piece.get("type")) or "function"
            self.calls.append({"id": call_id, "type": kind, "function": {"name": "", "arguments": ""}})
            self._by_id[call_id] = number
        if index is not None:
            self._by_index[index] = number
        return number


class StreamAssembler:
    """Assembles one streamed reply."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._parts: dict[str, list[str]] = {"content": [], "reasoning": []}
        self._halves = {"content": "", "reasoning": ""}  # of surrogate pairs whose other half has not arrived
        self._calls = ToolCallAssembly()
        self._finish_reason: str | None = None
        self._usage = Usage()
        self.started = False  # whether a part of the message was returned

    @property
    def finished(self) -> bool:
        """Whether the stream had a finish reason, or usage without a message. Otherwise it broke off."""
        return self._finish_reason is not None or (self._usage != Usage() and not self.started)

    def add(self, chunk: object) -> Mapping[str, Any]:
        """Add a chunk, and return what it adds to the message; empty for a chunk without text or tool calls."""
        body = fields(chunk)
        self._model = text(body.get("model")) or self._model
        if usage := fields(body.get("usage")):
            self._usage = usage_of(usage)
        choice = first(body.get("choices"))
        self._finish_reason = text(choice.get("finish_reason")) or self._finish_reason
        delta = fields(choice.get("delta"))
        new: dict[str, Any] = {name: self._whole_characters(name, delta.get(name)) for name in self._halves}
        for name, parts in self._parts.items():
            parts.append(new[name])
        new["tool_calls"] = [self._calls.add(piece) for piece in calls(delta.get("tool_calls"))]
        self.started = self.started or any(new.values())
        return {name: value for name, value in new.items() if value}

    def end(self) -> Mapping[str, Any]:
        """Return what the end of the stream adds: U+FFFD for a half of a surrogate pair."""
        rest = {name: repaired(half) for name, half in self._halves.items() if half}
        self._halves = dict.fromkeys(self._halves, "")
        for name, half in rest.items():
            self._parts[name].append(half)
        return rest

    def completion(self) -> Completion:
        """Return the whole reply."""
        return Completion(
            model=self._model,
            text="".join(self._parts["content"]),
            finish_reason=self._finish_reason,
            usage=self._usage,
            reasoning="".join(self._parts["reasoning"]),
            tool_calls=tuple(self._calls.calls),
        )

    def _whole_characters(self, name: str, piece: object) -> str:
        """Return the piece without a half of a surrogate pair at its end, which is kept for the next piece."""
        whole = self._halves[name] + (piece if isinstance(piece, str) else "")
        cut = len(whole) - 1 if "\ud800" <= whole[-1:] <= "\udbff" else len(whole)
        self._halves[name] = whole[cut:]
        return text(whole[:cut])


def completion_of(body: object, model: str) -> Completion | None:
    """Return the completion in a whole reply; None if there is none.

    A reply without a message is an empty completion if it has usage: its tokens were spent.
    """
    reply = fields(body)
    choice, usage = first(reply.get("choices")), usage_of(fields(reply.get("usage")))
    message = fields(choice.get("message"))
    if not message and usage == Usage():
        return None
    return Completion(
        model=text(reply.get("model")) or model,
        text=text(message.get("content")),
        finish_reason=text(choice.get("finish_reason")) or None,
        usage=usage,
        reasoning=text(message.get("reasoning")),
        tool_calls=tuple(calls(message.get("tool_calls"))),
    )


def fields(value: object) -> dict[str, Any]:
    """Return the value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def first(value: object) -> dict[str, Any]:
    """Return the first object of a list, else an empty one."""
    return fields(value[0]) if isinstance(value, list) and value else {}


def calls(value: object) -> list[dict[str, Any]]:
    """Return the objects of a list; none for any other value."""
    return [repaired(call) for call in value if isinstance(call, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """Return the value if it is a string, else an empty one."""
    return str(repaired(value)) if isinstance(value, str) else ""


def repaired(value: Any) -> Any:
    """Return a JSON value with U+FFFD for each half of a surrogate pair in its texts; whole pairs are joined.

    JSON can contain such a half, but it has no UTF-8, so it could not be sent on.
    """
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value
    if isinstance(value, dict):
        return {repaired(name): repaired(part) for name, part in value.items()}
    return [repaired(part) for part in value] if isinstance(value, list) else value


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Return the token counts; None for unknown ones, which are not zero. A negative count would refill a budget."""

    def count(value: object) -> int | None:
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None

    reasoning = fields(usage.get("completion_tokens_details")).get("reasoning_tokens")
    return Usage(count(usage.get("prompt_tokens")), count(usage.get("completion_tokens")), count(reasoning) or 0)
