"""Inspect, with its provider for OpenAI-compatible servers. See talk.py for its input."""

from __future__ import annotations

import json
import tempfile
from typing import Any

import talk
from city import City
from inspect_ai import Task
from inspect_ai import eval as run_eval
from inspect_ai.dataset import Sample
from inspect_ai.model import GenerateConfig, ResponseSchema, get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import Tool, tool
from inspect_ai.util import json_schema
from talk import KEY, MODEL, TEXT, report


def model(**options: Any) -> Any:
    """The model, with a field of ours in each request."""
    config = GenerateConfig(extra_body=talk.EFFORT, **options)
    return get_model(f"openai-api/cepo/{MODEL}", config=config, base_url=talk.base_url(), api_key=KEY, memoize=False)


def evaluate(*solver: Any, **options: Any) -> Any:
    """Evaluate one sample and return its log."""
    task = Task(dataset=[Sample(TEXT, target="42")], solver=[*solver, generate()], scorer=includes())
    (log,) = run_eval(task, model=model(**options), display="none", log_dir=tempfile.mkdtemp())
    return log


@tool
def weather() -> Tool:
    """Offer the tool."""

    async def execute(city: str) -> str:
        """Tell the weather of a city.

        Args:
            city: The name of the city.
        """
        return talk.weather(city)

    return execute


def ask() -> None:
    """An evaluation of one question."""
    log = evaluate()
    (used,) = log.stats.model_usage.values()
    (sample,) = log.samples
    report(content=sample.output.completion, usage=used.total_tokens, score=sample.scores["includes"].value)


def structured() -> None:
    """A response schema."""
    schema = ResponseSchema(name="city", json_schema=json_schema(City))
    (sample,) = evaluate(response_schema=schema).samples
    report(city=json.loads(sample.output.completion))


def agent() -> None:
    """A tool call, its result, and the answer."""
    (sample,) = evaluate(use_tools(weather())).samples
    report(content=sample.output.completion, runs=talk.tool_runs())


def quota() -> None:
    """A quota that is used up. The library would try until it is told to stop."""
    error = evaluate(max_retries=0).error
    report(classes=[type(error).__name__], message=error.traceback)


def cancel() -> None:
    """Cancel the task that waits for a reply."""

    async def read() -> None:
        await model().generate(TEXT)

    talk.leave(read)


talk.serve(lambda scenario: globals()[scenario]())
