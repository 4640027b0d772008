"""smolagents. See talk.py for its input."""

from __future__ import annotations

from typing import Any

import talk
from smolagents import CodeAgent, LogLevel, OpenAIModel, ToolCallingAgent, tool
from talk import KEY, MODEL, QUESTION, TEXT, report

QUIET = {"verbosity_level": LogLevel.OFF}


def model(**options: Any) -> Any:
    """The model, with a field of ours in each request."""
    return OpenAIModel(MODEL, api_base=talk.base_url(), api_key=KEY, extra_body=talk.EFFORT, **options)


def ask() -> None:
    """A question."""
    reply = model().generate(QUESTION)
    report(content=reply.content, usage=reply.token_usage.input_tokens + reply.token_usage.output_tokens)


def stream() -> None:
    """A stream."""
    deltas = list(model().generate_stream(QUESTION))
    pieces = [delta.content for delta in deltas if delta.content]
    usages = [delta.token_usage for delta in deltas if delta.token_usage]
    report(
        content="".join(pieces),
        pieces={"content": len(pieces)},
        usage=sum(usage.input_tokens + usage.output_tokens for usage in usages),
    )


def agent() -> None:
    """A tool call, its result, and the answer."""
    report(content=ToolCallingAgent([tool(talk.weather)], model(), **QUIET).run(TEXT), runs=talk.tool_runs())


def code() -> None:
    """An agent that writes code: plain chat."""
    report(content=str(CodeAgent([tool(talk.weather)], model(), **QUIET).run(TEXT)), runs=talk.tool_runs())


def quota() -> None:
    """A quota that is used up. The library would try again after a minute."""
    talk.refused(lambda: model(retry=False).generate(QUESTION))


talk.serve(lambda scenario: globals()[scenario]())
