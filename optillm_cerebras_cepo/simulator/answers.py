"""Scripted answers: rules that say what a call is answered with, and the faults that a client must survive."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from . import tokens
from .faults import Fault
from .problems import Reply
from .schema import ChatCompletionServerRequest

DEFAULT_TEXT = "The simulated answer is 42.\n\nRating: [[1]]\nBetter Response: [[0]]"
"""What a call gets that no rule matches. The last lines let a judge that expects a rating read one."""

FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]


@dataclass(frozen=True)
class ToolUse:
    """One call of a function: its name, and its arguments as the JSON text that the model writes."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    arguments: str = "{}"


@dataclass(frozen=True)
class Rule:
    """What to answer when `pattern` is found in the last message (or in all text) of a call.

    The first rule that matches applies, `times` times if that is given (then the next rules are looked at). A list of
    texts is taken in turn and starts over. `tool_calls` are made instead of a text where the call offers these
    functions. `latency` (simulated seconds) replaces the configured one. `reply` is sent as it stands instead of an
    answer; `fault` is one of those in `FAULTS`. A `held` reply, or the second half of a held stream, waits for
    `Simulator.release`. Raises ValueError for a rule that cannot work.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    pattern: str = ""
    search_in: Literal["last", "all"] = "last"
    model: str | None = None
    times: int | None = None
    text: str | tuple[str, ...] = DEFAULT_TEXT
    reasoning: str = ""
    finish_reason: FinishReason | None = None
    latency: float | None = None
    reply: Reply | None = None
    fault: Fault | None = None
    tool_calls: tuple[ToolUse, ...] = ()
    held: bool = False

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"pattern is not a regular expression: {error}") from None
        if self.times is not None and self.times < 1:
            raise ValueError(f"times must be at least 1, not {self.times}")
        if self.latency is not None and self.latency < 0:
            raise ValueError(f"latency must not be negative, not {self.latency}")
        if not isinstance(self.text, str) and not self.text:
            raise ValueError("text must not be an empty list")
        if self.reply is not None and self.fault is not None:
            raise ValueError("a rule has a reply or a fault, not both")
        if self.reply is not None and self.tool_calls:
            raise ValueError("a rule has a reply or tool_calls, not both")


@dataclass(frozen=True)
class Answer:
    """What is said to one call, before it is cut to its limit. `kind`: what the statistical mode took the call for."""

    text: str
    reasoning: str = ""
    finish_reason: FinishReason | None = None
    latency: float | None = None
    reply: Reply | None = None
    fault: Fault | None = None
    kind: str = ""
    tool_calls: tuple[ToolUse, ...] = ()
    held: bool = False


class Script:
    """Applies the rules in order and keeps count of how often each was used."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._used = [0] * len(self._rules)

    def match(self, request: ChatCompletionServerRequest) -> int | None:
        """The place of the first rule that matches, or None. Nothing is counted yet."""
        texts = [tokens.plain(message.content) for message in request.messages]
        searched = {"last": texts[-1], "all": "\n".join(texts)}
        for number, rule in enumerate(self._rules):
            if (
                (rule.times is None or self._used[number] < rule.times)
                and rule.model in (None, request.model)
                and re.search(rule.pattern, searched[rule.search_in])
            ):
                return number
        return None

    def fault(self, number: int) -> Fault | None:
        """The fault that the rule at this place has."""
        return self._rules[number].fault

    def answer(self, number: int) -> Answer:
        """The next answer of the rule at this place; it counts as used."""
        rule, used = self._rules[number], self._used[number]
        self._used[number] += 1
        return Answer(
            rule.text if isinstance(rule.text, str) else rule.text[used % len(rule.text)],
            rule.reasoning,
            rule.finish_reason,
            rule.latency,
            rule.reply,
            rule.fault,
            tool_calls=rule.tool_calls,
            held=rule.held,
        )
