"""Cerebras's own SDK. See talk.py for its input."""

from __future__ import annotations

import json
from typing import Any

import talk
from cerebras.cloud import sdk
from city import City
from talk import EFFORT, KEY, MODEL, QUESTION, TOOLS, Heard, reply_of, report, wait

FORMAT = {"type": "json_schema", "json_schema": {"name": "city", "strict": True, "schema": City.model_json_schema()}}
STREAM = {"stream": True, "stream_options": {"include_usage": True}}


def create(path: str = "", **options: Any) -> Any:
    """Ask the question. The SDK's own paths begin with /v1."""
    client: Any = sdk.Cerebras(base_url=talk.base_url().removesuffix("/v1") + path, api_key=KEY)
    return client.chat.completions.create(**{"model": MODEL, "messages": QUESTION, "extra_body": EFFORT} | options)


def tell(path: str = "") -> None:
    """Report a reply."""
    reply = create(path)
    report(**reply_of(reply.model_dump()) | {"usage": reply.usage.total_tokens, "classes": [type(reply).__name__]})


def tell_stream(path: str = "", **options: Any) -> None:
    """Report a stream."""
    whole, classes = Heard(), set()
    for chunk in create(path, **STREAM, **options):
        classes.add(type(chunk).__name__)
        whole.add(chunk.model_dump())
    found = whole.found()
    report(**found | {"usage": found["usage"]["total_tokens"], "classes": sorted(classes)})


def ask() -> None:
    """A question, with a field of ours."""
    tell()


def ask_v1() -> None:
    """The same at the address that other clients use."""
    tell("/v1")


def stream() -> None:
    """A stream with its usage."""
    tell_stream()


def stream_v1() -> None:
    """The same at the address that other clients use."""
    tell_stream("/v1")


def tool_stream() -> None:
    """A tool call in pieces."""
    tell_stream(tools=TOOLS)


def structured() -> None:
    """A reply that conforms to a schema."""
    report(city=json.loads(create(response_format=FORMAT).choices[0].message.content))


def agent() -> None:
    """A tool call, its result, and the answer."""
    called = create(tools=TOOLS).choices[0].message
    (call,) = called.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": talk.weather(**json.loads(call.function.arguments))}
    messages = [*QUESTION, called.model_dump(exclude_none=True), result]
    report(content=create(messages=messages, tools=TOOLS).choices[0].message.content, runs=talk.tool_runs())


def timeout() -> None:
    """The time that it waits."""
    report(seconds=sdk.Cerebras(api_key=KEY, warm_tcp_connection=False).timeout.read)


def timed_out() -> None:
    """A reply that does not come in time."""
    talk.refused(lambda: create(timeout=1))


def quota() -> None:
    """A quota that is used up."""
    talk.refused(create, sdk.APIError)


def refused() -> None:
    """A parameter that is refused."""
    talk.refused(lambda: create(logprobs=True), sdk.APIError)


def cancel() -> None:
    """Close a stream after its first chunk."""
    answer = create(**STREAM)
    report(first=next(answer).model_dump())
    wait()
    answer.close()
    report(cancelled=True)
    wait()


talk.serve(lambda scenario: globals()[scenario]())
