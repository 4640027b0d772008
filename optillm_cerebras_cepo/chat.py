"""What passes between the layers: one call to a model, and what came back.

All records are frozen. A number that may be unknown is None, which is not zero. Texts of clients and models stand in
no record's repr: what is logged by accident says nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from optillm_cerebras_cepo.budget import Budget, unbounded
from optillm_cerebras_cepo.deadline import Deadline, unlimited
from optillm_cerebras_cepo.quota import Quota

Role = Literal["system", "user", "assistant"]


class Step(str, Enum):
    """The kinds of call that CePO makes."""

    APPROACHES = "approaches"
    PLAN = "plan"
    EXECUTE = "execute"
    REVIEW = "review"
    FINAL = "final"
    DIRECT = "direct"
    RATING = "rating"
    REPAIR = "repair"


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str = field(repr=False)

    def wire(self) -> dict[str, Any]:
        """The message as the API takes it."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class RawMessage:
    """A turn of the client's own: with images, tool calls or a tool's result. All its fields are known to the API."""

    fields: Mapping[str, Any] = field(repr=False)

    def wire(self) -> dict[str, Any]:
        """The message as the API takes it."""
        return dict(self.fields)


Listener = Callable[[Mapping[str, Any]], None]
"""Hears what each chunk of a streamed reply adds to the message, on the network's thread: it must not wait."""


@dataclass(frozen=True)
class Label:
    """Who asks: the step, and the candidate (counted from 1; 0 where the call belongs to none).

    `kind` tells apart the calls of one step whose replies differ in length (`cepo/kinds.py`). It says nothing of who
    asks: labels that differ in it alone are equal.
    """

    step: Step
    candidate: int = 0
    kind: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"candidate {self.candidate} {self.step.value}" if self.candidate else self.step.value


@dataclass(frozen=True)
class ChatRequest:
    """One call. `options` holds the fields beyond the named ones, under the API's own names."""

    model: str
    messages: tuple[Message | RawMessage, ...] = field(repr=False)
    max_tokens: int
    label: Label
    temperature: float | None = None  # 0..2
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout: float | None = None  # seconds
    deadline: Deadline = field(default_factory=unlimited, compare=False)  # its end gives up the call
    model_deadline: Deadline | None = field(default=None, compare=False)  # its end gives up all calls to this model
    budget: Budget = field(default_factory=unbounded, compare=False)  # what it may take is taken from here
    listener: Listener | None = field(default=None, repr=False)  # with one, the reply is streamed
    shortenable: tuple[str, ...] = ()  # texts of the last message whose ends are enough where the whole is too long

    def body(self) -> dict[str, Any]:
        """The call under the API's names, with nothing in it that was not asked for."""
        return {
            "model": self.model,
            "messages": [message.wire() for message in self.messages],
            "max_completion_tokens": self.max_tokens,
            **self.options,
            **({} if self.temperature is None else {"temperature": self.temperature}),
            **({} if self.listener is None else {"stream": True}),
        }


@dataclass(frozen=True)
class Usage:
    """Tokens of one call as the API counts them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int = 0  # among the completion tokens, of models that reason


@dataclass(frozen=True)
class Completion:
    """One reply. `fitted` says what of the request was left out or lowered to suit the model."""

    model: str
    text: str = field(repr=False)
    finish_reason: str | None
    usage: Usage
    fitted: tuple[str, ...] = ()
    reasoning: str = field(default="", repr=False)
    tool_calls: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    quota: Quota = field(default_factory=dict)  # what the reply's headers say of the limits

    @property
    def usable(self) -> bool:
        """Whole and not empty: what a reasoning block leaves over counts, the block itself does not."""
        return self.finish_reason not in ("length", "content_filter") and bool(self.answer)

    @property
    def answer(self) -> str:
        """The text after the reasoning: what stands before `</think>` is reasoning, also where no tag opens it.

        Some chat templates put the opening tag into the prompt, so that the reply has the closing one alone.
        """
        _, closed, rest = self.text.partition("</think>")
        return (rest if closed else self.text).strip()


@dataclass(frozen=True)
class Forward:
    """A conversation that no plan can be made for, and that goes to the model itself.

    Attributes:
        reason: what of it a plan has no place for.
        messages: the client's own.
        options: what the call takes beside them, under the API's names: the tools.

    """

    reason: str
    messages: tuple[RawMessage, ...] = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Question:
    """What the client asks: the last user turn, the turns before it, and the system prompt.

    `history` may hold system turns: those that come after another turn.
    `fitted` says what of the messages and tools was dropped for the API, a line for each kind.
    """

    text: str = field(repr=False)
    system: str = field(default="", repr=False)
    history: tuple[Message, ...] = field(default=(), repr=False)
    forward: Forward | None = None
    fitted: tuple[str, ...] = ()
