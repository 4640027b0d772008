"""The result of one request: its answers, and how they were chosen."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.core.chat import Usage
from optillm_cerebras_cepo.response_format import is_object

Ratings = tuple[float | None, ...]


@dataclass(frozen=True)
class Answer:
    """One answer for the client.

    `finish_reason` is the model's own, and `usage` that of the call that wrote the answer. A planned answer has
    `tool_calls` only if it consists of a function's arguments.
    """

    text: str = field(repr=False)
    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)
    tool_calls: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    reasoning: str = field(default="", repr=False)

    def as_call(self, function: str) -> Answer:
        """Return an answer that calls this function with the text as its arguments.

        An answer that is no JSON object stays a text, because a client could not read its arguments. `degraded` then
        says what is wrong with it.
        """
        if not is_object(self.text):
            return self
        called = {"name": function, "arguments": self.text}
        call = {"id": f"call_{uuid.uuid4().hex}", "type": "function", "function": called}
        return replace(self, text="", finish_reason="tool_calls", tool_calls=(call,))


@dataclass(frozen=True)
class Outcome:
    """The answers, and how they were chosen.

    Attributes:
        answers: at most as many as the client wants; the best first.
        candidates: those that have an answer; empty after a direct answer.
        ratings: one for each candidate; None where there is none.
        chosen: number of the candidate whose answer comes first.
        agreement: share of the largest group of equal answers, 0 to 1; None where there is nothing to compare.

    """

    answers: tuple[Answer, ...]
    candidates: tuple[Candidate, ...] = ()
    ratings: Ratings = ()
    chosen: int | None = None
    agreement: float | None = None

    @property
    def answer(self) -> str:
        """Text of the first answer."""
        return self.answers[0].text

    @property
    def finish_reason(self) -> str:
        """Why the first answer ends."""
        return self.answers[0].finish_reason
