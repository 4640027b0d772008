"""DSPy. See talk.py for its input."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import dspy
import talk
from city import City
from talk import EFFORT, KEY, MODEL, TEXT, report


def model(**options: Any) -> Any:
    """The model, without the library's cache and with a field of ours in each request."""
    return dspy.LM(f"openai/{MODEL}", api_base=talk.base_url(), api_key=KEY, cache=False, extra_body=EFFORT, **options)


def run(module: Any, **options: Any) -> Any:
    """Run a module on the question."""
    with dspy.context(lm=model(**options), track_usage=True):
        return module(question=TEXT)


def ask() -> None:
    """A question."""
    found = run(dspy.Predict("question -> answer"))
    (usage,) = found.get_lm_usage().values()
    report(content=found.answer, usage=usage["total_tokens"])


async def parts() -> AsyncIterator[Any]:
    """Read a stream."""
    with dspy.context(lm=model(), track_usage=True):
        listener = dspy.streaming.StreamListener(signature_field_name="answer")
        async for part in dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener])(
            question=TEXT
        ):
            yield part


def stream() -> None:
    """A stream. Its last part is the whole."""

    async def main() -> list[Any]:
        return [part async for part in parts()]

    *pieces, whole = asyncio.run(main())
    (usage,) = whole.get_lm_usage().values()
    report(content=whole.answer, pieces={"content": len(pieces)}, usage=usage["total_tokens"])


def structured() -> None:
    """A typed output."""
    signature = dspy.Signature("question -> city: City", custom_types={"City": City})
    report(city=run(dspy.Predict(signature)).city.model_dump())


def agent() -> None:
    """A tool call, its result, and the answer."""
    report(content=run(dspy.ReAct("question -> answer", tools=[talk.weather])).answer, runs=talk.tool_runs())


def quota() -> None:
    """A quota that is used up. The library would try four times."""
    talk.refused(lambda: run(dspy.Predict("question -> answer"), num_retries=0))


def quota_default() -> None:
    """The same with the library's own retries."""
    talk.refused(lambda: run(dspy.Predict("question -> answer")))


def cancel() -> None:
    """Cancel the task that reads a stream."""

    async def read() -> None:
        async for _ in parts():
            pass

    talk.leave(read)


talk.serve(lambda scenario: globals()[scenario]())
