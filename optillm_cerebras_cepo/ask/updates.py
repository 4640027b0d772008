"""Updates of a running request, answered in this process or by a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from optillm_cerebras_cepo.trace.text import safe


@dataclass(frozen=True)
class Entries:
    """Entries of the live trace, by the name of their list."""

    entries: Mapping[str, Mapping[str, Any]] = field(repr=False)


@dataclass(frozen=True)
class Tick:
    """Nothing has happened for a moment."""


@dataclass(frozen=True)
class Reply:
    """The answer. `account` is the reply's `cepo_cerebras` object; a server without this plugin sends none."""

    text: str = field(repr=False)
    finish_reason: str
    model: str
    usage: Mapping[str, Any]
    account: Mapping[str, Any]

    def completion(self) -> dict[str, Any]:
        """Return the reply as a chat.completion."""
        message = {"role": "assistant", "content": self.text}
        choice = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        return {
            "object": "chat.completion",
            "model": self.model,
            "choices": [choice],
            "usage": dict(self.usage),
            "cepo_cerebras": dict(self.account),
        }


Update = Entries | Tick | Reply


class AskError(Exception):
    """There is no answer. The message is one line that says what to do.

    Attributes:
        status: HTTP status; 0 if no server answered.
        body: the response's `error`, and `cepo_cerebras` with what was spent.

    """

    def __init__(self, message: str, status: int = 0, body: Mapping[str, Any] | None = None) -> None:
        super().__init__(" ".join(safe(message).split()))
        self.status = status
        self.body = body or {"error": {"message": message}}


class Answering(Protocol):
    """One request that is being answered."""

    def updates(self) -> Iterator[Update]:
        """Yield what happens, up to the Reply. Raise AskError if there is no answer."""

    def give_up(self) -> Mapping[str, Any]:
        """Give up the calls in flight, start no other, and return what was spent; empty if that is not known."""
