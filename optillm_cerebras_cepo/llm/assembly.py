"""From the API's JSON to a Completion: of a reply that came whole, or chunk by chunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optillm_cerebras_cepo.chat import Completion, Usage
from optillm_cerebras_cepo.llm.tool_calls import ToolCallAssembly


class Assembly:
    """One reply under way."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls = ToolCallAssembly()
        self._finish_reason: str | None = None
        self._usage = Usage()
        self._halves = {"content": "", "reasoning": ""}  # of surrogate pairs, whose other half is still to come
        self.heard = False  # whether anything of the reply has been handed on

    @property
    def finished(self) -> bool:
        """Whether the API has said why the reply ends, or what it took though nothing was said.

        A stream that stops before was cut off.
        """
        return self._finish_reason is not None or (self._usage != Usage() and not self.heard)

    def add(self, chunk: object) -> Mapping[str, Any]:
        """Take in one chunk; returns what it adds to the message, nothing for a chunk without text or tool calls."""
        body = fields(chunk)
        self._model = text(body.get("model")) or self._model
        if usage := fields(body.get("usage")):
            self._usage = usage_of(usage)
        choice = first(body.get("choices"))
        self._finish_reason = text(choice.get("finish_reason")) or self._finish_reason
        delta = fields(choice.get("delta"))
        new: dict[str, Any] = {name: self._whole_characters(name, delta.get(name)) for name in self._halves}
        new["tool_calls"] = [self._calls.add(piece) for piece in calls(delta.get("tool_calls"))]
        self._text.append(new["content"])
        self._reasoning.append(new["reasoning"])
        self.heard = self.heard or any(new.values())
        return {name: value for name, value in new.items() if value}

    def rest(self) -> Mapping[str, Any]:
        """Return what the reply's end adds: U+FFFD for a half of a surrogate pair whose other half never came."""
        rest = {name: mended(half) for name, half in self._halves.items() if half}
        self._halves = dict.fromkeys(self._halves, "")
        self._text.append(rest.get("content", ""))
        self._reasoning.append(rest.get("reasoning", ""))
        return rest

    def completion(self) -> Completion:
        """All of it."""
        return Completion(
            model=self._model,
            text="".join(self._text),
            finish_reason=self._finish_reason,
            usage=self._usage,
            reasoning="".join(self._reasoning),
            tool_calls=self._calls.whole,
        )

    def _whole_characters(self, name: str, piece: object) -> str:
        """The piece without a half of a surrogate pair at its end, which is kept for the next piece."""
        whole = self._halves[name] + (piece if isinstance(piece, str) else "")
        cut = len(whole) - 1 if "\ud800" <= whole[-1:] <= "\udbff" else len(whole)
        self._halves[name] = whole[cut:]
        return text(whole[:cut])


def completion_of(body: object, model: str) -> Completion | None:
    """Read a reply that came whole; None when it is none. Any field may be missing, null or of another type.

    A reply without a message is an empty one if it has usage: its tokens were spent.
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
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def first(value: object) -> dict[str, Any]:
    """The first object of a list, else an empty one."""
    return fields(value[0]) if isinstance(value, list) and value else {}


def calls(value: object) -> list[dict[str, Any]]:
    """The objects of a list, none of anything else."""
    return [mended(call) for call in value if isinstance(call, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """The value if it is a string, else an empty one."""
    return str(mended(value)) if isinstance(value, str) else ""


def mended(value: Any) -> Any:
    """Return a JSON value with U+FFFD for each half of a surrogate pair in its texts; whole pairs are joined.

    JSON can write such a half, and nothing can send it on: it has no UTF-8.
    """
    if isinstance(value, str):
        return value if _is_utf8(value) else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {mended(name): mended(part) for name, part in value.items()}
    return [mended(part) for part in value] if isinstance(value, list) else value


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """What the API counted; unknown is not zero."""

    def count(value: object) -> int | None:
        return value if isinstance(value, int) else None

    reasoning = fields(usage.get("completion_tokens_details")).get("reasoning_tokens")
    return Usage(count(usage.get("prompt_tokens")), count(usage.get("completion_tokens")), count(reasoning) or 0)
