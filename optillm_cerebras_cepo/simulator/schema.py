"""The closed schema of a chat completion request (official OpenAPI of 2026-07, types as in the SDK 1.91).

Closed means that an unknown field is refused at every depth. Optional fields take null where the SDK's types do;
`reasoning_format` and a tool's `strict` do not. Content parts are text only: no model of the table sees images.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Number = Annotated[float, Field(allow_inf_nan=False)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


class Closed(BaseModel):
    """The base of every object: no unknown fields, no conversion of types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TextPart(Closed):
    """One part of a content list."""

    type: Literal["text"]
    text: str


Parts = Annotated[list[TextPart], Field(min_length=1)]


class SystemMessage(Closed):
    """Instructions. An empty text is taken: no source says that it is refused, and OptiLLM sends one by default."""

    role: Literal["system"]
    content: str | Parts
    name: str | None = None


class DeveloperMessage(Closed):
    """Instructions, for OpenAI's models only."""

    role: Literal["developer"]
    content: str | Parts
    name: str | None = None


class UserMessage(Closed):
    """A question."""

    role: Literal["user"]
    content: str | Parts
    name: str | None = None


class CalledFunction(Closed):
    """The function of a tool call."""

    name: str
    arguments: str


class ToolCall(Closed):
    """A tool call that an assistant made."""

    id: str
    type: Literal["function"]
    function: CalledFunction
    index: int | None = None


class AssistantMessage(Closed):
    """An earlier answer. Only one that calls tools may be without content."""

    role: Literal["assistant"]
    content: str | Parts | None = None
    name: str | None = None
    reasoning: str | Parts | None = None
    tool_calls: list[ToolCall] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> AssistantMessage:
        if self.content is None and not self.tool_calls:
            raise ValueError("content must be given when there are no tool_calls")
        return self


class ToolMessage(Closed):
    """A tool's result."""

    role: Literal["tool"]
    content: str | Parts
    tool_call_id: str
    name: str | None = None


Message = Annotated[
    SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage,
    Field(discriminator="role"),
]


class Prediction(Closed):
    """A predicted output."""

    type: Literal["content"]
    content: str | Parts


class TextFormat(Closed):
    """Free text."""

    type: Literal["text"]


class JsonObjectFormat(Closed):
    """Any JSON object."""

    type: Literal["json_object"]


class NamedJsonSchema(Closed):
    """A JSON schema and its name."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)

    name: str
    description: str | None = None
    definition: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(Closed):
    """A JSON object after a schema."""

    type: Literal["json_schema"]
    json_schema: NamedJsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class StreamOptions(Closed):
    """Options of a stream."""

    include_usage: bool | None = None


class ChosenFunction(Closed):
    """The function that must be called."""

    name: str


class ChosenTool(Closed):
    """The tool that must be called."""

    type: str
    function: ChosenFunction


class ToolFunction(Closed):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool = False


class Tool(Closed):
    """A tool that the model may call."""

    type: str
    function: ToolFunction


class ChatCompletionServerRequest(Closed):
    """A chat completion request. The name is the one that the real API's error texts show."""

    messages: Annotated[list[Message], Field(min_length=1)]
    model: Annotated[str, Field(min_length=1)]
    clear_thinking: bool | None = None
    disable_reasoning: bool | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Number] | None = None
    logprobs: bool | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    min_completion_tokens: Annotated[int, Field(ge=-1)] | None = None
    min_tokens: Annotated[int, Field(ge=-1)] | None = None
    # In the schema n may be larger; what the API then does is unknown, so a client must not rely on it.
    n: Annotated[int, Field(ge=1, le=1)] | None = None
    parallel_tool_calls: bool | None = None
    prediction: Prediction | None = None
    presence_penalty: Penalty | None = None
    prompt_cache_key: str | None = None
    reasoning_effort: Literal["none", "low", "medium", "high"] | None = None
    reasoning_format: Literal["none", "parsed", "text_parsed", "raw", "hidden"] = "none"
    response_format: ResponseFormat | None = None
    seed: int | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ChosenTool | None = None
    tools: list[Tool] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    user: str | None = None

    @model_validator(mode="after")
    def _fields_agree(self) -> ChatCompletionServerRequest:
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens and max_completion_tokens cannot both be given")
        if self.tools is not None and self.response_format is not None:
            raise ValueError("tools and response_format cannot both be given")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs to be true")
        return self

    @property
    def reserved(self) -> int | None:
        """The most tokens that the answer may have, under either name, or None when the client did not say."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop sequences, empty ones left out."""
        found = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(sequence for sequence in found if sequence)

    @property
    def offered(self) -> frozenset[str]:
        """The names of the functions that the model may call."""
        if self.tool_choice == "none":
            return frozenset()
        names = frozenset(tool.function.name for tool in self.tools or ())
        return names & {self.tool_choice.function.name} if isinstance(self.tool_choice, ChosenTool) else names
