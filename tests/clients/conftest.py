"""Real servers before three simulated APIs: one that answers, one without room, one that never answers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import frameworks
from support.client_libraries import House, Programs, house

from optillm_cerebras_cepo.simulator import Rule, SimulatorOptions, ToolUse, problems

ANSWER = "The simulated answer is 42, for six sevens are that many. " * 10 + "\n\nRating: [[1]]\nBetter Response: [[0]]"


@pytest.fixture(scope="package")
def programs() -> Iterator[Programs]:
    """The programs of the libraries."""
    started = Programs()
    yield started
    started.end()


@pytest.fixture(scope="package")
def answering() -> Iterator[House]:
    """An API that answers, and calls the tool where it is offered."""
    rule = Rule(text=ANSWER, tool_calls=(ToolUse("weather", '{"city": "Paris"}'),))
    with house(SimulatorOptions(rules=(rule,))) as running:
        yield running


@pytest.fixture(scope="package")
def model() -> Iterator[House]:
    """An API that plays the model for frameworks: it calls a tool, fills a format, and answers."""
    with house(SimulatorOptions(responder=frameworks.model)) as running:
        yield running


@pytest.fixture(scope="package")
def crowded() -> Iterator[House]:
    """An API that answers 429 to everything, for a day's limit is used up: the server makes no second call."""
    options = SimulatorOptions(rules=(Rule(reply=problems.token_quota_exceeded("day")),))
    with house(options, CEPO_CEREBRAS_EFFORT="none") as running:
        yield running


@pytest.fixture(scope="package")
def slow() -> Iterator[House]:
    """An API that does not answer."""
    with house(SimulatorOptions(rules=(Rule(fault="hang"),))) as running:
        yield running
