"""Answers to calls: rules that script them, and a hook for a function that produces them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from pydantic import ConfigDict

from . import tokens
from .faults import Fault
from .problems import Reply
from .schema import ChatCompletionServerRequest

DEFAULT_TEXT = "The simulated answer is 42."
"""Answer to a call that neither a rule nor the responder answers, and of a rule without a text."""

DEFAULT_RATING = f"{DEFAULT_TEXT}\n\nRating: [[1]]\nBetter Response: [[0]]"
"""Replaces DEFAULT_TEXT where the call asks for a rating."""

RATING_FORMAT = re.compile(r"(Rating|Better Response): \[\[")  # in the last message: the form in which to rate

FinishReason = Literal["stop", "length", "content_filter", "tool_calls"]


@dataclass(frozen=True)
class ToolUse:
    """A tool call: the function's name, and its arguments as JSON text."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    arguments: str = "{}"


@dataclass(frozen=True)
class Rule:
    """The answer to calls whose last message (or any message) contains `pattern`, a regular expression.

    The first matching rule applies, at most `times` times; after that, later rules apply. Several texts are used in
    turn, over and over. `tool_calls` replace the text if the call offers these functions. `latency` (simulated seconds)
    replaces the configured latency. `reply` is sent verbatim instead of an answer; `fault` is a name in `FAULTS`. A
    `held` reply, or the second half of a held stream, waits for `Simulator.release`. Raise ValueError for invalid
    values.
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
    """The answer to one call, before it is cut to its limit. The fields are those of `Rule`; `label` is logged."""

    text: str
    reasoning: str = ""
    finish_reason: FinishReason | None = None
    latency: float | None = None
    reply: Reply | None = None
    fault: Fault | None = None
    label: str = ""
    tool_calls: tuple[ToolUse, ...] = ()
    held: bool = False


Responder: TypeAlias = Callable[[ChatCompletionServerRequest], Answer | None]
"""Answers calls that no rule matches; None stands for DEFAULT_TEXT. A ValueError is replied as a validation error."""


def rated(answer: Answer, request: ChatCompletionServerRequest) -> Answer:
    """Return the answer, with a rating if it is the default one and the call asks for a rating."""
    asks = RATING_FORMAT.search(tokens.plain(request.messages[-1].content))
    return dataclasses.replace(answer, text=DEFAULT_RATING) if asks and answer.text == DEFAULT_TEXT else answer


class Script:
    """Applies rules in order and counts their uses."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._used = [0] * len(self._rules)

    def match(self, request: ChatCompletionServerRequest) -> int | None:
        """Return the index of the first matching rule, or None. Does not count as a use."""
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
        """Return the fault of the rule at this index."""
        return self._rules[number].fault

    def answer(self, number: int) -> Answer:
        """Return the next answer of the rule at this index, and count the use."""
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
