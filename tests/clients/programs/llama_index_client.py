"""LlamaIndex, with its LLM for OpenAI-compatible servers. See talk.py for its input."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import talk
from city import City
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from talk import KEY, MODEL, TEXT, report

QUESTION = [ChatMessage(role="user", content=TEXT)]


def model(**options: Any) -> Any:
    """The LLM, with a field of ours in each request."""
    fields = {"extra_body": talk.EFFORT}
    at = {"api_base": talk.base_url(), "api_key": KEY, "model": MODEL}
    return OpenAILike(**at, is_chat_model=True, is_function_calling_model=True, additional_kwargs=fields, **options)


def ask() -> None:
    """A question."""
    reply = model().chat(QUESTION)
    report(content=reply.message.content, usage=reply.raw.usage.total_tokens)


def stream() -> None:
    """A stream."""
    chunks = list(model().stream_chat(QUESTION))
    report(
        content=chunks[-1].message.content,
        pieces={"content": sum(bool(chunk.delta) for chunk in chunks)},
        reasoning="".join(chunk.additional_kwargs.get("thinking_delta") or "" for chunk in chunks),
    )


def structured() -> None:
    """An output class, which the library sends as a function."""
    report(city=model().as_structured_llm(City).chat(QUESTION).raw.model_dump())


def schema() -> None:
    """The same where the library is told that the server takes a response_format."""
    report(city=model(should_use_structured_outputs=True).as_structured_llm(City).chat(QUESTION).raw.model_dump())


def agent() -> None:
    """A tool call, its result, and the answer."""

    async def main() -> str:
        return str(await FunctionAgent(llm=model(), tools=[FunctionTool.from_defaults(talk.weather)]).run(TEXT))

    report(content=asyncio.run(main()), runs=talk.tool_runs())


def timeout() -> None:
    """The time that it waits."""
    report(seconds=model().timeout)


def timed_out() -> None:
    """A reply that does not come in time."""
    talk.refused(lambda: model(timeout=1).chat(QUESTION))


def quota() -> None:
    """A quota that is used up. The library would try three times."""
    talk.refused(lambda: model(max_retries=1).chat(QUESTION), openai.APIError)


def quota_default() -> None:
    """The same with the library's own retries."""
    talk.refused(lambda: model().chat(QUESTION), openai.APIError)


def cancel() -> None:
    """Cancel the task that reads a stream."""

    async def read() -> None:
        async for _ in await model().astream_chat(QUESTION):
            pass

    talk.leave(read)


talk.serve(lambda scenario: globals()[scenario]())
