"""OpenAI's Agents SDK. See talk.py for its input."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import talk
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from city import City
from talk import KEY, MODEL, TEXT, report

set_tracing_disabled(True)  # else it sends what it does to OpenAI


def agent_with(**options: Any) -> Agent:
    """An agent, with a field of ours in each request."""
    client = openai.AsyncOpenAI(base_url=talk.base_url(), api_key=KEY)
    settings = ModelSettings(extra_body=talk.EFFORT, include_usage=True)
    model = OpenAIChatCompletionsModel(MODEL, client)
    return Agent("cepo", model=model, model_settings=settings, **options)


def ask() -> None:
    """A question."""
    result = Runner.run_sync(agent_with(), TEXT)
    report(content=result.final_output, usage=result.context_wrapper.usage.total_tokens)


def stream() -> None:
    """A stream."""

    async def main() -> None:
        result = Runner.run_streamed(agent_with(), TEXT)
        pieces: dict[str, list[str]] = {"content": [], "reasoning": []}
        async for event in result.stream_events():
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta":
                pieces["content"].append(event.data.delta)
            if event.type == "raw_response_event" and event.data.type == "response.reasoning_summary_text.delta":
                pieces["reasoning"].append(event.data.delta)
        report(
            content="".join(pieces["content"]),
            pieces={"content": len(pieces["content"])},
            reasoning="".join(pieces["reasoning"]),
            usage=result.context_wrapper.usage.total_tokens,
        )

    asyncio.run(main())


def structured() -> None:
    """An output type."""
    report(city=Runner.run_sync(agent_with(output_type=City), TEXT).final_output.model_dump())


def agent() -> None:
    """A tool call, its result, and the answer."""
    report(
        content=Runner.run_sync(agent_with(tools=[function_tool(talk.weather)]), TEXT).final_output,
        runs=talk.tool_runs(),
    )


def quota() -> None:
    """A quota that is used up."""
    talk.refused(lambda: Runner.run_sync(agent_with(), TEXT), openai.APIError)


def cancel() -> None:
    """Cancel the task that reads a stream."""

    async def read() -> None:
        async for _ in Runner.run_streamed(agent_with(), TEXT).stream_events():
            pass

    talk.leave(read)


talk.serve(lambda scenario: globals()[scenario]())
