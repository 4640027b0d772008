"""AutoGen, with its client for OpenAI-compatible servers. See talk.py for its input."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import talk
from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import ModelFamily, UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient
from city import City
from talk import KEY, MODEL, TEXT, report

QUESTION = [UserMessage(content=TEXT, source="user")]
INFO = {
    "family": ModelFamily.UNKNOWN,
    "vision": False,
    "function_calling": True,
    "json_output": True,
    "structured_output": True,
}
FIELDS = {"extra_create_args": {"extra_body": talk.EFFORT}}


def client() -> Any:
    """The client. It knows no server but OpenAI's, so it is told what the model can."""
    return OpenAIChatCompletionClient(model=MODEL, base_url=talk.base_url(), api_key=KEY, model_info=INFO)


def create(**options: Any) -> Any:
    """Ask the question."""

    async def main() -> Any:
        return await client().create(QUESTION, **FIELDS, **options)

    return asyncio.run(main())


def ask() -> None:
    """A question."""
    reply = create()
    report(content=reply.content, usage=reply.usage.prompt_tokens + reply.usage.completion_tokens)


def stream() -> None:
    """A stream. Its last part is the whole."""

    async def main() -> list[Any]:
        return [part async for part in client().create_stream(QUESTION, include_usage=True, **FIELDS)]

    *pieces, whole = asyncio.run(main())
    report(
        content=whole.content,
        text="".join(pieces),
        pieces={"content": len(pieces)},
        reasoning=whole.thought,
        usage=whole.usage.prompt_tokens + whole.usage.completion_tokens,
    )


def structured() -> None:
    """An output type."""
    report(city=json.loads(create(json_output=City).content))


def agent() -> None:
    """A tool call, its result, and the answer."""

    async def main() -> Any:
        one = AssistantAgent(
            "cepo", client(), tools=[talk.weather], reflect_on_tool_use=True, description="", system_message=None
        )
        return (await one.run(task=TEXT)).messages[-1].content

    report(content=asyncio.run(main()), runs=talk.tool_runs())


def quota() -> None:
    """A quota that is used up."""
    talk.refused(create, openai.APIError)


def cancel() -> None:
    """Cancel the task that reads a stream."""

    async def read() -> None:
        async for _ in client().create_stream(QUESTION):
            pass

    talk.leave(read)


talk.serve(lambda scenario: globals()[scenario]())
