"""Records that the layers exchange: one call to a model, and its reply.

All records are frozen. None means unknown, which is not zero. No record's repr contains a text of a client or a model,
so that a record logged by accident shows none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Protocol

from optillm_cerebras_cepo.core.budget import Budget
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import CepoError
from optillm_cerebras_cepo.core.rate_limit_headers import Quota


@dataclass(frozen=True)
class Parameters:
    """Fields of a request under OpenAI's names; None, or the default here, for a field that is not given."""

    max_tokens: int | None = None  # of the call that writes the answer, at least 1
    temperature: float | None = None  # 0..2
    top_p: float | None = None  # 0..1
    stop: tuple[str, ...] = field(default=(), repr=False)  # at most 4, none of them empty
    seed: int | None = None  # of 64 bits, with a sign
    # Of type json_object or json_schema; a schema has a name.
    response_format: Mapping[str, Any] | None = field(default=None, repr=False)
    user: str | None = field(default=None, repr=False)
    prompt_cache_key: str | None = field(default=None, repr=False)  # at most 1,024 characters
    n: int = 1  # answers, 1..8
    frequency_penalty: float | None = None  # -2..2
    presence_penalty: float | None = None  # -2..2
    logit_bias: Mapping[str, float] | None = field(default=None, repr=False)  # -100..100 by token id
    stream: bool = False
    include_usage: bool = False  # send a last chunk with the usage; with stream only
    fitted: tuple[str, ...] = ()  # fields that were dropped for the API, a line for each kind


QUEUED_TIERS = ("auto", "flex")
"""Values of `service_tier` whose calls may wait in a queue: with limits of their own."""


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

    role: Literal["system", "user", "assistant"]
    content: str = field(repr=False)

    def wire(self) -> dict[str, Any]:
        """Return the message as the API takes it."""
        return {"role": self.role, "content": self.content}


@dataclass(frozen=True)
class RawMessage:
    """A turn as the client sent it: with images, tool calls or a tool's result. The API knows all of its fields."""

    fields: Mapping[str, Any] = field(repr=False)

    def wire(self) -> dict[str, Any]:
        """Return the message as the API takes it."""
        return dict(self.fields)


Listener = Callable[[Mapping[str, Any]], None]
"""Receives what each chunk of a streamed reply adds to the message, on the network's thread: it must not block."""


@dataclass(frozen=True)
class Label:
    """What a call is for: the step, and the candidate (from 1; 0 for a call of no candidate).

    `kind` separates calls of one step whose replies differ in length (`cepo/request.py`). It is not compared.
    """

    step: Step
    candidate: int = 0
    kind: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"candidate {self.candidate} {self.step.value}" if self.candidate else self.step.value


@dataclass(frozen=True)
class Late:
    """What to do if a reply is not there after so many seconds.

    `act` is called once, on the thread that waits for the reply. It gets a function that cancels the call, which then
    raises the error that this function is given.
    """

    seconds: float
    act: Callable[[Callable[[CepoError], None]], None]


@dataclass(frozen=True)
class ChatRequest:
    """One call."""

    model: str
    messages: tuple[Message | RawMessage, ...] = field(repr=False)
    max_tokens: int  # most tokens of the reply
    label: Label
    temperature: float | None = None  # 0 to 2; None for the model's default
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # further fields, under the API's names
    headers: Mapping[str, str] = field(default_factory=dict)  # of the HTTP request
    timeout: float | None = None  # seconds; None for no limit
    deadline: Deadline = field(default_factory=Deadline, compare=False)  # ends the call
    # Ended by an error that ends all calls of the request to this model.
    model_deadline: Deadline | None = field(default=None, compare=False)
    budget: Budget = field(default_factory=Budget, compare=False)  # what the call is charged to
    # Receives the reply while it is written; the reply is streamed.
    listener: Listener | None = field(default=None, repr=False)
    when_late: Late | None = field(default=None, repr=False, compare=False)
    # Texts of the last message that may lose their beginnings if the call is too long.
    shortenable: tuple[str, ...] = ()
    may_take_more: bool = False  # whether the call may be made again with a higher token limit

    def body(self) -> dict[str, Any]:
        """Return the call under the API's names, without fields that have no value."""
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
    """Tokens of one call as the API counts them; None where it gives no count."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int = 0  # included in the completion tokens


@dataclass(frozen=True)
class Completion:
    """One reply. `fitted` has a line for each field of the request that was dropped or lowered to suit the model."""

    model: str
    text: str = field(repr=False)
    finish_reason: str | None
    usage: Usage
    fitted: tuple[str, ...] = ()
    reasoning: str = field(default="", repr=False)
    tool_calls: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    quota: Quota = field(default_factory=dict)  # rate limits in the reply's headers

    @property
    def usable(self) -> bool:
        """Whether the reply is complete and has text beside its reasoning."""
        return self.finish_reason not in ("length", "content_filter") and bool(self.answer)

    @property
    def answer(self) -> str:
        """The text after the reasoning, which ends at `</think>`; empty if the reply was cut before that.

        Some chat templates put the opening tag into the prompt, so that the reply has the closing tag alone.
        """
        _, closed, rest = self.text.partition("</think>")
        if not closed and self.text.lstrip().startswith("<think>"):
            return ""
        return (rest if closed else self.text).strip()


@dataclass(frozen=True)
class PassthroughRequest:
    """A conversation that cannot be planned and is passed through to the model."""

    reason: str  # why it cannot be planned
    messages: tuple[RawMessage, ...] = field(repr=False)  # the client's
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)  # under the API's names: the tools


@dataclass(frozen=True)
class ForcedFunction:
    """The one function that the client makes the model call: its arguments are the answer that the client wants."""

    name: str
    description: str | None = field(repr=False)
    parameters: Mapping[str, Any] = field(repr=False)  # a JSON schema
    strict: bool | None = None


@dataclass(frozen=True)
class Question:
    """What the client asks."""

    text: str = field(repr=False)  # the last user turn
    system: str = field(default="", repr=False)  # the system turns before any other turn
    history: tuple[Message, ...] = field(default=(), repr=False)  # the turns between, later system turns included
    passthrough: PassthroughRequest | None = None  # if the conversation cannot be planned; other fields are empty then
    function: ForcedFunction | None = None  # that the answer is to call
    fitted: tuple[str, ...] = ()  # fields of messages and tools that were dropped for the API, a line for each kind


class ChatClient(Protocol):
    """Something that answers one call. Client layers implement it and wrap another one."""

    def complete(self, request: ChatRequest) -> Completion:
        """Answer, or raise a CepoError. Safe to call from several threads at once."""
        ...
