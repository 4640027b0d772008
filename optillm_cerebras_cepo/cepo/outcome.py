"""The result of one request: its answers, and how they were chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.core.chat import Usage

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
