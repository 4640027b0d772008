"""LiteLLM, with its provider for OpenAI-compatible servers. See talk.py for its input."""

from __future__ import annotations

import asyncio
import os
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it looks for a newer list of prices on the network

import litellm
import openai
from talk import EFFORT, KEY, MODEL, QUESTION, TOOLS, Heard, base_url, failure, reply_of, report, serve, wait

litellm.suppress_debug_info = True
CALL = {"model": f"openai/{MODEL}", "api_key": KEY, "messages": QUESTION}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


def tell_stream(stream: Any) -> None:
    """Report a stream."""
    whole = Heard()
    for chunk in stream:
        whole.add(chunk.model_dump())
    report(**whole.found())


def ask() -> None:
    """A question, with a field of ours."""
    report(**reply_of(litellm.completion(base_url=base_url(), **CALL, extra_body=EFFORT).model_dump()))


def stream() -> None:
    """A stream with its usage."""
    tell_stream(litellm.completion(base_url=base_url(), **CALL, **STREAM))


def tool() -> None:
    """A tool call."""
    report(**reply_of(litellm.completion(base_url=base_url(), **CALL, tools=TOOLS).model_dump()))


def tool_stream() -> None:
    """A tool call in pieces."""
    tell_stream(litellm.completion(base_url=base_url(), **CALL, tools=TOOLS, **STREAM))


def bad_request() -> None:
    """A parameter that is refused."""
    try:
        litellm.completion(base_url=base_url(), **CALL, logprobs=True)
    except litellm.exceptions.BadRequestError as error:
        report(**failure(error))


def rate_limit() -> None:
    """An API without room, and the library's own retries on."""
    try:
        litellm.completion(base_url=base_url(), **CALL)
    except litellm.exceptions.RateLimitError as error:
        report(**failure(error))


def stream_error() -> None:
    """A stream that ends with an error instead of an answer."""
    try:
        tell_stream(litellm.completion(base_url=base_url(), **CALL, **STREAM))
    except openai.APIError as error:  # LiteLLM's own exceptions are these classes'
        report(**failure(error))


def cancel() -> None:
    """Close a stream after its first chunk. LiteLLM's own stream has no close; what it wraps has."""
    answer: Any = litellm.completion(base_url=base_url(), **CALL, **STREAM)
    report(first=next(answer).model_dump())
    wait()
    answer.completion_stream.close()
    report(cancelled=True)
    wait()


def cancel_task() -> None:
    """Cancel the task that reads a stream, after its first chunk."""

    async def main() -> None:
        first = asyncio.Event()

        async def read() -> None:
            answer: Any = await litellm.acompletion(base_url=base_url(), **CALL, **STREAM)
            try:
                async for chunk in answer:
                    if not first.is_set():
                        report(first=chunk.model_dump())
                        first.set()
            finally:
                await answer.aclose()

        task = asyncio.create_task(read())
        await first.wait()
        await asyncio.to_thread(wait)
        task.cancel()
        await asyncio.wait([task])
        report(cancelled=task.cancelled())
        await asyncio.to_thread(wait)

    asyncio.run(main())


serve(lambda scenario: globals()[scenario]())
