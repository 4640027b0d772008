"""Libraries above an OpenAI-compatible API, as their users run them, before a real server.

What a library does is a program in programs/; its row in support/frameworks.py says what its users should know.
"""

from __future__ import annotations

import pytest
from support.client_libraries import House, Programs
from support.frameworks import CITY, FRAMEWORKS, REPORT, Framework, every
from support.waiting import until

from optillm_cerebras_cepo.simulator import CLIENT_GONE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first to use a library installs it

HUNG_UP = "the client hung up"  # what the server says when it has given a request up: it makes no call after that
ANSWER_BEGINS = "The simulated answer is 42, "
PLANNED = 6  # calls with effort low, which every program sends as a field


@every(*FRAMEWORKS)
def test_ask(programs: Programs, client: Framework, model: House) -> None:
    """The answer of a planned request, and the usage that the API counted."""
    model.api.clear()
    reply = programs.run(client, "ask", model)
    assert reply["content"].startswith(ANSWER_BEGINS)
    assert len(model.api.chat_calls) == PLANNED
    if client.usage:
        assert reply["usage"] == model.api.usage.total_tokens


@every(*(client for client in FRAMEWORKS if client.streams))
def test_stream(programs: Programs, client: Framework, model: House) -> None:
    """The answer of a planned request in pieces, and the progress where the library shows it."""
    model.api.clear()
    reply = programs.run(client, "stream", model)
    assert reply["content"].startswith(ANSWER_BEGINS)
    assert reply["pieces"]["content"] > 1
    assert bool(reply.get("reasoning")) is client.progress
    assert len(model.api.chat_calls) == PLANNED
    if client.usage:
        assert reply["usage"] == model.api.usage.total_tokens


@every(*(client for client in FRAMEWORKS if client.structured))
def test_structured(programs: Programs, client: Framework, model: House) -> None:
    """Structured output as the library asks for it: planned like an answer in text."""
    model.api.clear()
    assert programs.run(client, "structured", model)["city"] == CITY
    assert len(model.api.chat_calls) == PLANNED


@every(*(client for client in FRAMEWORKS if client.calls_with_tool))
def test_tools(programs: Programs, client: Framework, model: House) -> None:
    """The model calls the tool, gets its result, and answers: direct calls, unless all of it is text, as in DSPy."""
    model.api.clear()
    reply = programs.run(client, "agent", model)
    assert reply["runs"] == ["Paris"]
    assert REPORT in reply["content"]
    assert len(model.api.chat_calls) == client.calls_with_tool


@every(*(client for client in FRAMEWORKS if client.error))
def test_quota(programs: Programs, client: Framework, crowded: House) -> None:
    """A quota that is used up: the library's own exception with our message, after one request."""
    crowded.api.clear()
    before = len(crowded.requests())
    error = programs.run(client, "quota", crowded)
    assert client.error in error["classes"]
    assert client.message in error["message"]
    assert crowded.requests(since=before) == [client.status]


@every(*(client for client in FRAMEWORKS if client.cancels))
def test_cancel(programs: Programs, client: Framework, slow: House) -> None:
    """A client that leaves a stream takes the calls with it, while its process lives on; and no call is begun."""
    slow.api.clear()
    before, told = len(slow.requests()), slow.server.log.count(HUNG_UP)
    with programs.during(client, "cancel", slow) as program:
        assert program.report()["first"]
        until(lambda: slow.api.in_flight > 0)
        program.go_on()
        assert program.report()["cancelled"] is True
        until(lambda: slow.server.log.count(HUNG_UP) > told, lambda: slow.server.log)
        program.go_on()
    until(lambda: slow.api.in_flight == 0, lambda: slow.api.chat_calls)
    assert {call.status for call in slow.api.chat_calls} == {CLIENT_GONE}
    until(lambda: slow.requests(since=before))  # its line follows that of the hang-up
    assert len(slow.requests(since=before)) == 1  # the library did not begin anew
