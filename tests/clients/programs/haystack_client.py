"""Haystack. See talk.py for its input."""

from __future__ import annotations

import json
from typing import Any

import talk
from city import City
from haystack.components.agents import Agent
from haystack.components.generators.chat import OpenAIChatGenerator
from haystack.dataclasses import ChatMessage
from haystack.tools import create_tool_from_function
from haystack.utils import Secret
from talk import KEY, MODEL, TEXT, report

QUESTION = [ChatMessage.from_user(TEXT)]


def generator(more: dict[str, Any] | None = None, **options: Any) -> Any:
    """The chat generator, with a field of ours in each request."""
    fields = {"extra_body": talk.EFFORT, **(more or {})}
    at = {"api_base_url": talk.base_url(), "api_key": Secret.from_token(KEY), "model": MODEL}
    return OpenAIChatGenerator(**at, generation_kwargs=fields, **options)


def tell(message: Any, **more: Any) -> None:
    """Report a reply."""
    report(content=message.text, usage=message.meta["usage"]["total_tokens"], **more)


def ask() -> None:
    """A question."""
    tell(generator().run(QUESTION)["replies"][0])


def stream() -> None:
    """A stream."""
    pieces: list[Any] = []
    options = {"stream_options": {"include_usage": True}}
    (message,) = generator(options, streaming_callback=pieces.append).run(QUESTION)["replies"]
    reasoning = message.reasoning.reasoning_text if message.reasoning else ""
    tell(message, pieces={"content": sum(bool(piece.content) for piece in pieces)}, reasoning=reasoning)


def structured() -> None:
    """A response format."""
    report(city=json.loads(generator({"response_format": City}).run(QUESTION)["replies"][0].text))


def agent() -> None:
    """A tool call, its result, and the answer."""
    runner = Agent(chat_generator=generator(), tools=[create_tool_from_function(talk.weather)])
    report(content=runner.run(QUESTION)["messages"][-1].text, runs=talk.tool_runs())


def timeout() -> None:
    """The time that it waits."""
    made = generator()
    made.warm_up()
    report(seconds=made.client.timeout)


def timed_out() -> None:
    """A reply that does not come in time."""
    talk.refused(lambda: generator(timeout=1).run(QUESTION))


def quota() -> None:
    """A quota that is used up."""
    talk.refused(lambda: generator().run(QUESTION))


def cancel() -> None:
    """Cancel the task that reads a stream."""

    async def hear(_: Any) -> None:
        pass

    async def read() -> None:
        await generator(streaming_callback=hear).run_async(QUESTION)

    talk.leave(read)


talk.serve(lambda scenario: globals()[scenario]())
