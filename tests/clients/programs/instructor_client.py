"""Instructor around the library `openai`. See talk.py for its input."""

from __future__ import annotations

from typing import Any

import instructor
import openai
import talk
from city import City
from talk import EFFORT, KEY, MODEL, QUESTION, report

DEFAULT = instructor.Mode.TOOLS


def client(mode: instructor.Mode) -> Any:
    """A client."""
    return instructor.from_openai(openai.OpenAI(base_url=talk.base_url(), api_key=KEY), mode=mode)


def create(response_model: Any = City, mode: instructor.Mode = DEFAULT, **options: Any) -> Any:
    """Ask the question."""
    call = client(mode).chat.completions.create
    return call(model=MODEL, messages=QUESTION, response_model=response_model, extra_body=EFFORT, **options)


def ask() -> None:
    """A question without a model of the response."""
    reply = create(None)
    report(content=reply.choices[0].message.content, usage=reply.usage.total_tokens)


def partial() -> None:
    """A response that grows as it is streamed."""
    cities = [city.model_dump() for city in create(instructor.Partial[City], stream=True)]
    report(city=cities[-1], pieces=len(cities))


def structured() -> None:
    """A model of the response, which the library sends as a function."""
    report(city=create().model_dump())


def schema() -> None:
    """The same in the mode for a response_format."""
    report(city=create(mode=instructor.Mode.JSON_SCHEMA).model_dump())


def quota() -> None:
    """A quota that is used up."""
    talk.refused(lambda: create(None))


def quota_structured() -> None:
    """A quota that is used up, with a model of the response."""
    talk.refused(create)


talk.serve(lambda scenario: globals()[scenario]())
