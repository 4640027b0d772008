"""Names of attributes: those of the pinned conventions, or ours; and the documentation has each."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.semconv.schemas import Schemas
from support.spans import Spans, attributes, events

from optillm_cerebras_cepo.core.chat import ChatRequest, Label, Step
from optillm_cerebras_cepo.core.errors import ApiUnavailable, Superseded
from optillm_cerebras_cepo.core.events import CallHedged
from optillm_cerebras_cepo.host.execution import REQUEST_OBSERVER
from optillm_cerebras_cepo.sidecar.request_record import Metrics, RequestRecord
from optillm_cerebras_cepo.simulator import Reply, Rule, Simulator
from optillm_cerebras_cepo.telemetry.attributes import SCHEMA
from optillm_cerebras_cepo.telemetry.spans import RequestSpans, tracer_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "telemetry.md").read_text()
NAMED = re.compile(r"(?:gen_ai|cepo_cerebras|server|error|http)\.[a-z_.]+")
MODULES = ("_incubating.attributes.gen_ai", "attributes.error", "attributes.http", "attributes.server")


def conventional() -> set[str]:
    """Return every attribute of the pinned conventions that we may use."""
    modules = [import_module(f"opentelemetry.semconv.{name}_attributes") for name in MODULES]
    return {value for module in modules for value in vars(module).values() if isinstance(value, str) and "." in value}


def documented() -> set[str]:
    """Return every attribute and event in the tables of the page."""
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    return set(re.findall(rf"`({NAMED.pattern})`", "\n".join(rows)))


def names_of(spans: Spans) -> set[str]:
    """Return the name of every attribute and event of these spans."""
    found = {name for span in spans.all for name in attributes(span)}
    for span in spans.all:
        for event, said in events(span):
            found |= {event, *said}
    return found


@pytest.fixture
def emitted(serve: Any, simulate: Callable[..., Simulator], provider: TracerProvider, spans: Spans) -> set[str]:
    """Names of requests that between them have every attribute and event."""
    different = tuple(f"The answer is {number}." for number in range(40))
    rules = (
        Rule(times=1, reply=Reply(503, "later")),
        Rule(r"Rating: \[\[", text="Rating: [[1]]"),
        Rule(text=different, reasoning="Let me think."),
    )
    ask = serve(simulate(rules=rules))
    observed = {REQUEST_OBSERVER: RequestRecord({}, Metrics(lambda: 0))}
    planned = {"cepo_cerebras_rating_model": "auto", "n": 2, "stop": ["\n\n\n"], "temperature": 0.5, "seed": 1}
    planned |= {"frequency_penalty": 0.1, "presence_penalty": 0.1, "response_format": {"type": "json_object"}}
    assert ask(**planned, environ=observed).status_code == 200
    assert ask(cepo_cerebras_effort="auto", cepo_cerebras_model="gpt-oss-120b", stream=True).get_data()
    it = RequestSpans(tracer_of(provider), tracer_of(provider).start_span("request"), Context(), "http://api")
    call = ChatRequest("m", (), 100, Label(Step.PLAN, 1))
    first = it.begin(call)
    it.observe(CallHedged(call.label, 1.0))
    it.begin(call)(ApiUnavailable("later"), 1.0)
    first(Superseded("another call was faster"), 1.0)
    it.finish(ApiUnavailable("later"))
    return names_of(spans)


def test_every_name_is_of_the_conventions_or_ours(emitted: set[str]) -> None:
    """The conventions that are pinned, and none that they have dropped."""
    others = {name for name in emitted if not name.startswith("cepo_cerebras.")}
    assert others - conventional() == set()
    assert len(others) > 15


def test_every_name_is_documented(emitted: set[str]) -> None:
    """And the page has no other name."""
    assert emitted == documented()


def test_the_page_names_what_is_pinned() -> None:
    """The version of the conventions, the package that has them, and the schema of the tracer."""
    assert Schemas.V1_41_0.value == SCHEMA
    assert f"`{SCHEMA}`" in PAGE
    assert "version 1.41.0" in PAGE
    assert f"`opentelemetry-semantic-conventions` {metadata.version('opentelemetry-semantic-conventions')}" in PAGE
