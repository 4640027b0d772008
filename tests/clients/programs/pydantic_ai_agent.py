"""Pydantic AI, with its provider for OpenAI-compatible servers. See talk.py for its input."""

from __future__ import annotations

import asyncio
from typing import Any

import talk
from city import City
from pydantic_ai import Agent, ThinkingPart
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from talk import KEY, MODEL, TEXT, report


def agent_with(**options: Any) -> Any:
    """An agent, with a field of ours in each request."""
    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=talk.base_url(), api_key=KEY))
    return Agent(model, model_settings={"extra_body": talk.EFFORT}, **options)


def ask() -> None:
    """A question."""
    result = agent_with().run_sync(TEXT)
    report(content=result.output, usage=result.usage.total_tokens)


def stream() -> None:
    """A stream."""

    async def main() -> None:
        async with agent_with().run_stream(TEXT) as result:
            pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
            parts = [part for message in result.all_messages() for part in message.parts]
        report(
            content="".join(pieces),
            pieces={"content": len(pieces)},
            reasoning="".join(part.content for part in parts if isinstance(part, ThinkingPart)),
            usage=result.usage.total_tokens,
        )

    asyncio.run(main())


def structured() -> None:
    """An output type, which the library sends as a function."""
    report(city=agent_with(output_type=City).run_sync(TEXT).output.model_dump())


def structured_with_tool() -> None:
    """An output type and a tool: two functions, and the model chooses one."""
    city = agent_with(tools=[talk.weather], output_type=City).run_sync(TEXT).output
    report(city=city.model_dump(), runs=talk.tool_runs())


def agent() -> None:
    """A tool call, its result, and the answer."""
    report(content=agent_with(tools=[talk.weather]).run_sync(TEXT).output, runs=talk.tool_runs())


def quota() -> None:
    """A quota that is used up."""
    talk.refused(lambda: agent_with().run_sync(TEXT), ModelHTTPError)


def cancel() -> None:
    """Cancel the task that reads a stream."""

    async def read() -> None:
        async with agent_with().run_stream(TEXT) as result:
            async for _ in result.stream_text():
                pass

    talk.leave(read)


talk.serve(lambda scenario: globals()[scenario]())
