"""Client libraries as their users run them, each in an environment of its own, before a real server.

What a library does is a program in programs/; here stands what must come of it, at the client and at the API.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from support import web
from support.client_libraries import Client, House, Programs
from support.waiting import until

from optillm_cerebras_cepo.simulator import CLIENT_GONE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # the first to use a library installs it

HUNG_UP = "the client hung up"  # what the server says when it has given a request up: it makes no call after that
ANSWER_BEGINS = "The simulated answer is 42, "
BOTH = ("cancel", "cancel_task")

OPENAI = [
    Client("openai2.lock", "openai_sync.py"),
    Client("openai2.lock", "openai_async.py", cancels=BOTH),
    Client("openai3.lock", "openai_sync.py"),
    Client("openai3.lock", "openai_async.py", cancels=BOTH),
]
LANGCHAIN = Client("langchain.lock", "langchain_client.py", cancels=BOTH)
LITELLM = Client("litellm.lock", "litellm_client.py", cancels=BOTH)
OPENAI_NODE = [Client("node", "openai_node.mjs", major, ("cancel", "cancel_signal")) for major in ("6", "7")]
AI_SDK = [Client("node", "ai_sdk.mjs", major) for major in ("6", "7")]

CLIENTS = [*OPENAI, LANGCHAIN, LITELLM, *OPENAI_NODE, *AI_SDK]
CANCELS = [(client, scenario) for client in CLIENTS for scenario in client.cancels]


def named(value: object) -> str:
    """Name a test after its client and its scenario."""
    return value.name if isinstance(value, Client) else str(value)


every_client = pytest.mark.parametrize("client", CLIENTS, ids=named)


def total_tokens(usage: dict[str, Any]) -> int:
    """The sum, under the name that the library gives it."""
    total = usage.get("total_tokens", usage.get("totalTokens"))
    assert isinstance(total, int), usage
    return total


@every_client
def test_ask(programs: Programs, client: Client, answering: House) -> None:
    """The answer, an id, the usage that the API counted, and a field of ours on its way there and back."""
    answering.api.clear()
    reply = programs.run(client, "ask", answering)
    assert reply["content"].startswith(ANSWER_BEGINS)
    assert reply["finish_reason"] == "stop"
    assert reply["id"].startswith("chatcmpl-")
    assert total_tokens(reply["usage"]) == answering.api.usage.total_tokens
    assert len(answering.api.chat_calls) == 6  # effort low: the field that the program sends beside OpenAI's
    if client is LANGCHAIN:  # it drops every field of a reply that it does not know
        assert "cepo_cerebras" not in reply
    else:
        assert (reply["cepo_cerebras"]["calls"], reply["cepo_cerebras"]["effort"]) == (6, "low")


@every_client
def test_stream(programs: Programs, client: Client, answering: House) -> None:
    """First progress as reasoning, then the answer in pieces, why it ends, and what it cost."""
    answering.api.clear()
    heard = programs.run(client, "stream", answering)
    assert heard["content"].startswith(ANSWER_BEGINS)
    assert heard["pieces"]["content"] > 1
    assert heard["finish_reason"] == "stop"
    assert total_tokens(heard["usage"]) == answering.api.usage.total_tokens
    if client is LANGCHAIN:  # it drops reasoning_content
        assert heard["reasoning"] is None
        return
    assert heard["pieces"]["reasoning"] > 1
    assert heard["reasoning"].strip()
    (name,) = heard["ids"]
    assert name.startswith("chatcmpl-")
    shown = (
        ["reasoning-delta", "text-delta", "finish"] if client in AI_SDK else ["role", "reasoning", "content", "finish"]
    )
    assert [kind for kind in heard["kinds"] if kind in shown] == shown
    if client is not LITELLM:  # which makes a chunk of its own for the usage
        assert "usage beside choices" not in heard["kinds"]


def test_wire_of_a_stream(answering: House) -> None:
    """What no library shows: the events themselves, the last chunk without choices, and the end."""
    answering.api.clear()
    body = {
        "model": "any",
        "messages": [{"role": "user", "content": "What is 6 times 7?"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    response = web.post(f"{answering.server.url}/v1/chat/completions", json=body)
    assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
    events = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    assert events.pop() == "[DONE]"
    first, *chunks, before_last, last = map(json.loads, events)
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert {chunk["object"] for chunk in (first, *chunks, before_last, last)} == {"chat.completion.chunk"}
    assert before_last["choices"][0]["finish_reason"] == "stop"
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == answering.api.usage.total_tokens
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("content") or "" for delta in deltas).startswith(ANSWER_BEGINS)
    assert [delta for delta in deltas if delta.get("reasoning_content")]


@pytest.mark.parametrize("client", OPENAI, ids=named)
def test_raw_response(programs: Programs, client: Client, answering: House) -> None:
    """The library's way to a response's headers, whole and streamed."""
    found = programs.run(client, "raw", answering)
    assert (found["status"], found["type"].partition(";")[0]) == (200, "application/json")
    assert found["stream_type"].partition(";")[0] == "text/event-stream"
    assert found["reply"]["content"] == found["stream"]["content"]
    assert found["reply"]["content"].startswith(ANSWER_BEGINS)


@every_client
@pytest.mark.parametrize("scenario", ["tool", "tool_stream"])
def test_tool(programs: Programs, client: Client, scenario: str, answering: House) -> None:
    """Tools go to the model, in one call and without a plan; what it calls comes back whole."""
    answering.api.clear()
    reply = programs.run(client, scenario, answering)
    (call,) = reply["tool_calls"]
    arguments = call["arguments"] if isinstance(call["arguments"], dict) else json.loads(call["arguments"])
    assert (call["name"], arguments) == ("weather", {"city": "Paris"})
    assert call["id"]
    assert reply["finish_reason"] == ("tool-calls" if client in AI_SDK else "tool_calls")
    (upstream,) = answering.api.chat_calls
    assert [tool["function"]["name"] for tool in upstream.body["tools"]] == ["weather"]
    assert total_tokens(reply["usage"]) == answering.api.usage.total_tokens


@every_client
def test_bad_request(programs: Programs, client: Client, answering: House) -> None:
    """A parameter that is refused: the library's own exception, with the parameter's name, after one request."""
    answering.api.clear()
    before = len(answering.requests())
    error = programs.run(client, "bad_request", answering)
    assert ("AI_APICallError" if client in AI_SDK else "BadRequestError") in error["classes"]
    assert (error["status"], error["param"]) == (400, "logprobs")
    assert answering.requests(since=before) == [400]
    assert answering.api.chat_calls == ()


@every_client
def test_rate_limit(programs: Programs, client: Client, crowded: House) -> None:
    """An API without room: the library's own exception, and no second request, for none can go better."""
    crowded.api.clear()
    before = len(crowded.requests())
    # The AI SDK has retries of its own and knows no x-should-retry: see the next test.
    error = programs.run(client, "rate_limit_once" if client in AI_SDK else "rate_limit", crowded)
    assert ("AI_APICallError" if client in AI_SDK else "RateLimitError") in error["classes"]
    assert error["status"] == 429
    assert crowded.requests(since=before) == [429]
    assert len(crowded.api.chat_calls) <= 1  # none, once the server knows that the day's limit is used up


@pytest.mark.parametrize("client", AI_SDK, ids=named)
def test_the_ai_sdk_starts_over_whatever_the_server_says(programs: Programs, client: Client, crowded: House) -> None:
    """A fact about the library that its users should know: three requests, unless they set maxRetries."""
    crowded.api.clear()
    before = len(crowded.requests())
    error = programs.run(client, "rate_limit", crowded)
    assert (error["thrown"], error["tries"], error["status"]) == ("AI_RetryError", 3, 429)
    assert crowded.requests(since=before) == [429] * 3


@every_client
def test_error_in_a_stream(programs: Programs, client: Client, crowded: House) -> None:
    """The status has gone out as 200 by then: an exception all the same, with our message, and no second request."""
    crowded.api.clear()
    before = len(crowded.requests())
    error = programs.run(client, "stream_error", crowded)
    assert "is used up" in error["message"]
    if client is not LITELLM:  # it keeps the message only
        assert error["code"] == "quota_exhausted"
    assert crowded.requests(since=before) == [200]
    assert len(crowded.api.chat_calls) <= 1  # none, once the server knows that the day's limit is used up


@pytest.mark.parametrize(("client", "scenario"), CANCELS, ids=named)
def test_cancel(programs: Programs, client: Client, scenario: str, slow: House) -> None:
    """A client that leaves a stream takes the calls with it, while its process lives on; and no call is begun."""
    slow.api.clear()
    before, told = len(slow.requests()), slow.server.log.count(HUNG_UP)
    with programs.during(client, scenario, slow) as program:
        assert program.report()["first"]
        until(lambda: slow.api.in_flight > 0)
        program.go_on()
        assert program.report()["cancelled"] is True
        until(lambda: slow.server.log.count(HUNG_UP) > told, lambda: slow.server.log)
        program.go_on()
    until(lambda: slow.api.in_flight == 0, lambda: slow.api.chat_calls)
    assert {call.status for call in slow.api.chat_calls} == {CLIENT_GONE}
    assert slow.requests(since=before) == [200]  # the library did not begin anew
