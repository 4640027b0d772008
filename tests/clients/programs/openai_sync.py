"""The library `openai`, its blocking client. See talk.py for its input."""

from __future__ import annotations

from typing import Any

import openai
from talk import EFFORT, KEY, MODEL, QUESTION, TOOLS, Heard, base_url, failure, function, reply_of, report, serve, wait

STREAM = {"stream": True, "stream_options": {"include_usage": True}}


def completions() -> Any:
    """What a new client calls."""
    return openai.OpenAI(base_url=base_url(), api_key=KEY).chat.completions


def create(**options: Any) -> Any:
    """Ask the question."""
    return completions().create(model=MODEL, messages=QUESTION, **options)


def heard(stream: Any) -> dict[str, Any]:
    """Read a stream to its end."""
    whole = Heard()
    for chunk in stream:
        whole.add(chunk.model_dump())
    return whole.found()


def ask() -> None:
    """A question, with a field of ours."""
    report(**reply_of(create(extra_body=EFFORT).model_dump()))


def raw() -> None:
    """A question, with the response's headers; then a stream, likewise."""
    raw_create = completions().with_raw_response.create
    response = raw_create(model=MODEL, messages=QUESTION, extra_body=EFFORT)
    streaming = raw_create(model=MODEL, messages=QUESTION, extra_body=EFFORT, **STREAM)
    report(
        status=response.status_code,
        type=response.headers["content-type"],
        reply=reply_of(response.parse().model_dump()),
        stream_type=streaming.headers["content-type"],
        stream=heard(streaming.parse()),
    )


def stream() -> None:
    """A stream with its usage."""
    report(**heard(create(**STREAM)))


def tool() -> None:
    """A tool call."""
    report(**reply_of(create(tools=TOOLS).model_dump()))


def tool_stream() -> None:
    """A tool call in pieces."""
    report(**heard(create(tools=TOOLS, **STREAM)))


CITY = function("city", {"name": {"type": "string"}, "population": {"type": "integer"}})
NAMED = {"type": "function", "function": {"name": "city"}}


def forced(tool_choice: Any, tools: Any = (CITY,)) -> None:
    """Report a reply to a question with tools and the way to choose among them."""
    report(**reply_of(create(tools=list(tools), tool_choice=tool_choice, extra_body=EFFORT).model_dump()))


def function_named() -> None:
    """One function that must be called, by its name."""
    forced(NAMED)


def function_named_among_two() -> None:
    """One function of two that must be called, by its name."""
    forced(NAMED, (*TOOLS, CITY))


def function_required() -> None:
    """One function that must be called, for there is no other."""
    forced("required")


def functions_required() -> None:
    """One of two functions must be called."""
    forced("required", (*TOOLS, CITY))


def function_auto() -> None:
    """One function that may be called."""
    forced("auto")


def function_none() -> None:
    """A function that must not be called."""
    forced("none")


def function_stream() -> None:
    """One function that must be called, streamed."""
    report(**heard(create(tools=[CITY], tool_choice=NAMED, extra_body=EFFORT, **STREAM)))


def bad_request() -> None:
    """A parameter that is refused."""
    try:
        create(logprobs=True)
    except openai.APIError as error:
        report(**failure(error))


def rate_limit() -> None:
    """An API without room, and the library's own retries on."""
    try:
        create()
    except openai.APIError as error:
        report(**failure(error))


def stream_error() -> None:
    """A stream that ends with an error instead of an answer."""
    try:
        heard(create(**STREAM))
    except openai.APIError as error:
        report(**failure(error))


def cancel() -> None:
    """Close a stream after its first chunk."""
    answer = create(**STREAM)
    report(first=next(answer).model_dump())
    wait()
    answer.close()
    report(cancelled=True)
    wait()


serve(lambda scenario: globals()[scenario]())
