"""What the programs share: how they are told what to do, the question, the tool, and how they report.

A program does one scenario after the other: a library takes seconds to load.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

MODEL = "any"
KEY = "none"  # the server has its own; this one only satisfies the libraries
TEXT = "What is 6 times 7?"
QUESTION = [{"role": "user", "content": TEXT}]
EFFORT = {"cepo_cerebras_effort": "low"}


def function(name: str, properties: Mapping[str, Any], description: str = "") -> dict[str, Any]:
    """Return a tool whose parameters are all required."""
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS = [function("weather", {"city": {"type": "string"}}, "The weather of a city.")]

_cities: list[str] = []


def weather(city: str) -> str:
    """Tell the weather of a city.

    Args:
        city: The name of the city.
    """
    _cities.append(city)
    return "Sunny, 21 degrees."


def tool_runs() -> list[str]:
    """Return the cities that the tool was called with since the last time."""
    runs = _cities.copy()
    _cities.clear()
    return runs


def report(**found: Any) -> None:
    """Print one line of JSON."""
    print(json.dumps(found, default=str), flush=True)


_server = ""


def serve(run: Callable[[str], None]) -> None:
    """Run each scenario that the test asks for, in a line with the URL of a server, and report when it is over."""
    global _server
    while line := sys.stdin.readline():
        scenario, _server = line.split()
        run(scenario)
        report(over=scenario)


def base_url() -> str:
    """Where the library finds the server of this scenario."""
    return f"{_server}/v1"


def wait() -> None:
    """Go on when the test says so, which writes a line."""
    sys.stdin.readline()


def failure(error: Any) -> dict[str, Any]:
    """An exception of the library: its classes and what it tells of the server's error."""
    body = getattr(error, "body", None)
    return {
        "classes": [base.__name__ for base in type(error).__mro__],
        "status": getattr(error, "status_code", None),
        "param": getattr(error, "param", None) or (body.get("param") if isinstance(body, Mapping) else None),
        "code": getattr(error, "code", None),
        "message": str(error),
    }


def refused(ask: Callable[[], object], kind: type[BaseException] = Exception) -> None:
    """Report the exception that the library raises."""
    try:
        ask()
    except kind as error:
        report(**failure(error))


def leave(read: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Cancel a task that reads a stream, when the test says so."""

    async def main() -> None:
        task = asyncio.create_task(read())
        report(first=True)
        await asyncio.to_thread(wait)
        task.cancel()
        await asyncio.wait([task])
        report(cancelled=task.cancelled())
        await asyncio.to_thread(wait)

    asyncio.run(main())


class Heard:
    """A stream of chat.completion.chunk objects, gathered from their fields as JSON values."""

    def __init__(self) -> None:
        self.kinds: list[str] = []  # what came, in order, repetitions left out
        self.pieces = {"content": 0, "reasoning": 0}
        self.content = ""
        self.reasoning = ""
        self.finish_reason: str | None = None
        self.usage: Mapping[str, Any] | None = None
        self.ids: set[str] = set()
        self.calls: dict[int, dict[str, str]] = {}

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take in one chunk."""
        if chunk.get("id"):
            self.ids.add(chunk["id"])
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if delta.get("role"):
                self._note("role")
            if delta.get("reasoning_content"):
                self._note("reasoning")
                self.pieces["reasoning"] += 1
                self.reasoning += delta["reasoning_content"]
            if delta.get("content"):
                self._note("content")
                self.pieces["content"] += 1
                self.content += delta["content"]
            for piece in delta.get("tool_calls") or ():
                self._note("tool_calls")
                self._call(piece)
            if choice.get("finish_reason"):
                self._note("finish")
                self.finish_reason = choice["finish_reason"]
        if chunk.get("usage"):
            self._note("usage" if not chunk.get("choices") else "usage beside choices")
            self.usage = chunk["usage"]

    def found(self) -> dict[str, Any]:
        """All of it, for a report."""
        return {
            "kinds": self.kinds,
            "pieces": self.pieces,
            "content": self.content,
            "reasoning": self.reasoning,
            "finish_reason": self.finish_reason,
            "usage": self.usage,
            "ids": sorted(self.ids),
            "tool_calls": [self.calls[index] for index in sorted(self.calls)],
        }

    def _call(self, piece: Mapping[str, Any]) -> None:
        function = piece.get("function") or {}
        call = self.calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
        call["id"] += piece.get("id") or ""
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""

    def _note(self, kind: str) -> None:
        if self.kinds[-1:] != [kind]:
            self.kinds.append(kind)


def reply_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """What a report tells of a chat.completion."""
    (choice,) = body["choices"]
    message = choice["message"]
    return {
        "id": body["id"],
        "content": message.get("content"),
        "finish_reason": choice["finish_reason"],
        "usage": body["usage"],
        "cepo_cerebras": body.get("cepo_cerebras"),
        "tool_calls": [
            {"id": call["id"], "name": call["function"]["name"], "arguments": call["function"]["arguments"]}
            for call in message.get("tool_calls") or ()
        ],
    }
