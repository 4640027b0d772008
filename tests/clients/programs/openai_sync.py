"""The library `openai`, its blocking client. Usage: openai_sync.py URL SCENARIO."""

from __future__ import annotations

import sys
from typing import Any

import openai
from talk import EFFORT, KEY, MODEL, QUESTION, TOOLS, Heard, failure, reply_of, report, wait

client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key=KEY)
create: Any = client.chat.completions.create
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


def heard(stream: Any) -> dict[str, Any]:
    """Read a stream to its end."""
    whole = Heard()
    for chunk in stream:
        whole.add(chunk.model_dump())
    return whole.found()


def ask() -> None:
    """A question, with a field of ours."""
    report(**reply_of(create(model=MODEL, messages=QUESTION, extra_body=EFFORT).model_dump()))


def raw() -> None:
    """A question, with the response's headers; then a stream, likewise."""
    response = client.chat.completions.with_raw_response.create(model=MODEL, messages=QUESTION, extra_body=EFFORT)
    streaming = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=QUESTION, extra_body=EFFORT, **STREAM
    )
    report(
        status=response.status_code,
        type=response.headers["content-type"],
        reply=reply_of(response.parse().model_dump()),
        stream_type=streaming.headers["content-type"],
        stream=heard(streaming.parse()),
    )


def stream() -> None:
    """A stream with its usage."""
    report(**heard(create(model=MODEL, messages=QUESTION, **STREAM)))


def tool() -> None:
    """A tool call."""
    report(**reply_of(create(model=MODEL, messages=QUESTION, tools=TOOLS).model_dump()))


def tool_stream() -> None:
    """A tool call in pieces."""
    report(**heard(create(model=MODEL, messages=QUESTION, tools=TOOLS, **STREAM)))


def bad_request() -> None:
    """A parameter that is refused."""
    try:
        create(model=MODEL, messages=QUESTION, logprobs=True)
    except openai.APIError as error:
        report(**failure(error))


def rate_limit() -> None:
    """An API without room, and the library's own retries on."""
    try:
        create(model=MODEL, messages=QUESTION)
    except openai.APIError as error:
        report(**failure(error))


def stream_error() -> None:
    """A stream that ends with an error instead of an answer."""
    try:
        heard(create(model=MODEL, messages=QUESTION, **STREAM))
    except openai.APIError as error:
        report(**failure(error))


def cancel() -> None:
    """Close a stream after its first chunk."""
    answer = create(model=MODEL, messages=QUESTION, **STREAM)
    report(first=next(answer).model_dump())
    wait()
    answer.close()
    report(cancelled=True)
    wait()


globals()[sys.argv[2]]()
