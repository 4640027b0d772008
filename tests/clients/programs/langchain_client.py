"""LangChain's chat model for OpenAI-compatible servers. See talk.py for its input."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
from langchain_openai import ChatOpenAI
from talk import EFFORT, KEY, MODEL, QUESTION, TOOLS, base_url, failure, report, serve, wait


def model(**options: Any) -> Any:
    """The chat model, with its own retries on."""
    return ChatOpenAI(base_url=base_url(), api_key=KEY, model=MODEL, stream_usage=True, **options)


def tell(message: Any, **more: Any) -> None:
    """Report a message of LangChain's. It drops every field of a reply that OpenAI's own API does not have."""
    report(
        id=message.response_metadata.get("id") or message.id,
        content=message.content,
        reasoning=message.additional_kwargs.get("reasoning_content"),
        finish_reason=message.response_metadata["finish_reason"],
        usage=message.usage_metadata,
        tool_calls=[{"id": c["id"], "name": c["name"], "arguments": c["args"]} for c in message.tool_calls],
        **more,
    )


def tell_stream(stream: Any) -> None:
    """Report a stream, added up as LangChain adds."""
    whole, pieces = None, 0
    for chunk in stream:
        pieces += bool(chunk.content)
        whole = chunk if whole is None else whole + chunk
    tell(whole, pieces={"content": pieces})


def ask() -> None:
    """A question, with a field of ours."""
    tell(model(extra_body=EFFORT).invoke(QUESTION))


def stream() -> None:
    """A stream with its usage."""
    tell_stream(model().stream(QUESTION))


def tool() -> None:
    """A tool call."""
    tell(model().bind_tools(TOOLS).invoke(QUESTION))


def tool_stream() -> None:
    """A tool call in pieces."""
    tell_stream(model().bind_tools(TOOLS).stream(QUESTION))


def bad_request() -> None:
    """A parameter that is refused."""
    try:
        model(logprobs=True).invoke(QUESTION)
    except openai.APIError as error:
        report(**failure(error))


def rate_limit() -> None:
    """An API without room, and the library's own retries on."""
    try:
        model().invoke(QUESTION)
    except openai.APIError as error:
        report(**failure(error))


def stream_error() -> None:
    """A stream that ends with an error instead of an answer."""
    try:
        tell_stream(model().stream(QUESTION))
    except openai.APIError as error:
        report(**failure(error))


def cancel() -> None:
    """Close a stream after its first chunk."""
    answer = model().stream(QUESTION)
    report(first=next(answer).model_dump())
    wait()
    answer.close()
    report(cancelled=True)
    wait()


def cancel_task() -> None:
    """Cancel the task that reads a stream, after its first chunk."""

    async def main() -> None:
        first = asyncio.Event()

        async def read() -> None:
            async for chunk in model().astream(QUESTION):
                if not first.is_set():
                    report(first=chunk.model_dump())
                    first.set()

        task = asyncio.create_task(read())
        await first.wait()
        await asyncio.to_thread(wait)
        task.cancel()
        await asyncio.wait([task])
        report(cancelled=task.cancelled())
        await asyncio.to_thread(wait)

    asyncio.run(main())


serve(lambda scenario: globals()[scenario]())
