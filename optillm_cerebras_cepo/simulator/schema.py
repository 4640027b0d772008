"""The closed schema of a chat completion request (official OpenAPI of 2026-07, types as in the SDK 1.91).

Closed means that unknown fields are refused at every depth. Optional fields accept null where the SDK's types do, which
excludes `reasoning_format` and a tool's `strict`. Content parts are text only: no simulated model accepts images.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Number = Annotated[float, Field(allow_inf_nan=False)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


class ClosedModel(BaseModel):
    """Base of all objects: no unknown fields, no type conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TextPart(ClosedModel):
    """One part of a content list."""

    type: Literal["text"]
    text: str


Parts = Annotated[list[TextPart], Field(min_length=1)]


class SystemMessage(ClosedModel):
    """Instructions. Empty text is accepted: no source says otherwise, and OptiLLM sends it by default."""

    role: Literal["system"]
    content: str | Parts
    name: str | None = None


class DeveloperMessage(ClosedModel):
    """Instructions, for OpenAI's models only."""

    role: Literal["developer"]
    content: str | Parts
    name: str | None = None


class UserMessage(ClosedModel):
    """A question."""

    role: Literal["user"]
    content: str | Parts
    name: str | None = None


class CalledFunction(ClosedModel):
    """The function of a tool call."""

    name: str
    arguments: str


class ToolCall(ClosedModel):
    """A tool call that an assistant made."""

    id: str
    type: Literal["function"]
    function: CalledFunction
    index: int | None = None


class AssistantMessage(ClosedModel):
    """An earlier answer. It needs content unless it calls tools."""

    role: Literal["assistant"]
    content: str | Parts | None = None
    name: str | None = None
    reasoning: str | Parts | None = None
    tool_calls: list[ToolCall] | None = None

    @model_validator(mode="after")
    def _check_content(self) -> AssistantMessage:
        if self.content is None and not self.tool_calls:
            raise ValueError("content must be given when there are no tool_calls")
        return self


class ToolMessage(ClosedModel):
    """A tool's result."""

    role: Literal["tool"]
    content: str | Parts
    tool_call_id: str
    name: str | None = None


Message = Annotated[
    SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]


class Prediction(ClosedModel):
    """A predicted output."""

    type: Literal["content"]
    content: str | Parts


class TextFormat(ClosedModel):
    """Free text."""

    type: Literal["text"]


class JsonObjectFormat(ClosedModel):
    """Any JSON object."""

    type: Literal["json_object"]


class NamedJsonSchema(ClosedModel):
    """A JSON schema and its name."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=False)

    name: str
    description: str | None = None
    definition: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class JsonSchemaFormat(ClosedModel):
    """A JSON object that conforms to a schema."""

    type: Literal["json_schema"]
    json_schema: NamedJsonSchema


ResponseFormat = Annotated[TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")]


class StreamOptions(ClosedModel):
    """Options of a stream."""

    include_usage: bool | None = None


class ChosenFunction(ClosedModel):
    """The function that must be called."""

    name: str


class ChosenTool(ClosedModel):
    """The tool that must be called."""

    type: str
    function: ChosenFunction


class ToolFunction(ClosedModel):
    """A function that the model may call."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool = False


class Tool(ClosedModel):
    """A tool that the model may call."""

    type: str
    function: ToolFunction


class ChatCompletionServerRequest(ClosedModel):
    """A chat completion request. The class name is the one in the real API's error messages."""

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
    # The real schema allows a larger n, but its effect is unknown, so clients must not use it.
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
    def _check_combinations(self) -> ChatCompletionServerRequest:
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("max_tokens and max_completion_tokens cannot both be given")
        if self.tools is not None and self.response_format is not None:
            raise ValueError("tools and response_format cannot both be given")
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs to be true")
        return self

    @property
    def reserved(self) -> int | None:
        """The token limit of the answer under either name, or None."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop sequences without empty ones."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(sequence for sequence in stops if sequence)

    @property
    def offered(self) -> frozenset[str]:
        """Names of the functions that the model may call."""
        if self.tool_choice == "none":
            return frozenset()
        names = frozenset(tool.function.name for tool in self.tools or ())
        return names & {self.tool_choice.function.name} if isinstance(self.tool_choice, ChosenTool) else names
