"""Streamed replies, over real HTTP and from JSON of any shape."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from aiohttp import web
from conftest import KEY
from hypothesis import given
from hypothesis import strategies as st
from support.gateway import background
from support.once import once
from support.waiting import until

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.llm.completions import StreamAssembler, completion_of
from optillm_cerebras_cepo.llm.event_loop import EventLoop
from optillm_cerebras_cepo.llm.sdk import SdkClient
from optillm_cerebras_cepo.simulator import CLIENT_GONE
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.latency import Latency
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
TEXT = "one two three four five six seven eight nine ten. " * 8
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def connect() -> Iterator[Callable[[str], SdkClient]]:
    """Clients that are closed with the test."""
    loop, clients = EventLoop(), []

    def make(url: str) -> SdkClient:
        clients.append(SdkClient(url, KEY, loop))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def request(heard: list[Mapping[str, Any]], **more: Any) -> ChatRequest:
    """A request whose reply is streamed into this list."""
    label = Label(Step.FINAL, 1)
    fields: dict[str, Any] = {"timeout": 5.0, **more}
    return ChatRequest("llama-3.3-70b", (Message("user", "?"),), 500, label, listener=heard.append, **fields)


def test_pieces_are_the_reply(simulate: Simulate, connect: Callable[[str], SdkClient]) -> None:
    """Several pieces, and the whole at the end with usage and finish reason."""
    api = simulate(rules=(Rule(text=TEXT),))
    heard: list[Mapping[str, Any]] = []
    completion = connect(api.url).complete(request(heard))
    assert api.chat_calls[0].body["stream"] is True
    assert len(heard) > 3
    assert "".join(piece["content"] for piece in heard) == TEXT == completion.text
    assert completion.finish_reason == "stop"
    assert completion.usage == Usage(api.usage.prompt_tokens, api.usage.completion_tokens)


def test_whole_and_streamed_replies_are_equal(simulate: Simulate, connect: Callable[[str], SdkClient]) -> None:
    """The layers above see no difference."""
    client = connect(simulate(rules=(Rule(text=TEXT),)).url)
    whole = client.complete(ChatRequest("llama-3.3-70b", (Message("user", "?"),), 500, Label(Step.FINAL, 1)))
    assert client.complete(request([])) == whole


def test_pieces_arrive_as_they_are_generated(simulate: Simulate, connect: Callable[[str], SdkClient]) -> None:
    """The first one long before the last."""
    api = simulate(rules=(Rule(text=TEXT),), latency=Latency(tokens_per_second=100))
    times: list[float] = []
    connect(api.url).complete(
        ChatRequest(
            "llama-3.3-70b",
            (Message("user", "?"),),
            500,
            Label(Step.FINAL, 1),
            listener=lambda _: times.append(time.monotonic()),
        )
    )
    assert times[-1] - times[0] > 0.3


@pytest.mark.parametrize(("status", "kind"), [(429, errors.RateLimited), (400, errors.RefusedCall)])
def test_refusal_is_the_same_error_as_without_a_stream(
    simulate: Simulate, connect: Callable[[str], SdkClient], status: int, kind: type[errors.CepoError]
) -> None:
    """Nothing was streamed yet, so it may be retried."""
    heard: list[Mapping[str, Any]] = []
    with pytest.raises(kind):
        connect(simulate(rules=(Rule(reply=Reply(status, {"message": "?"})),)).url).complete(request(heard))
    assert heard == []


def test_broken_stream_is_not_restarted(simulate: Simulate, connect: Callable[[str], SdkClient]) -> None:
    """What the client has cannot be taken back, so the error is final."""
    heard: list[Mapping[str, Any]] = []
    with pytest.raises(errors.StreamBroken) as caught:
        connect(simulate(rules=(Rule(text=TEXT, fault="cut"),)).url).complete(request(heard))
    assert heard
    assert caught.value.scope is errors.ErrorScope.REQUEST
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("events", "kind", "heard"),
    [
        ([{"error": {"message": "out of memory"}}], errors.ApiUnavailable, 0),
        ([{"choices": [{"delta": {"content": "a"}}]}, {"error": {"message": "?"}}], errors.StreamBroken, 1),
        ([{"choices": [{"delta": {"content": "a"}}]}], errors.StreamBroken, 1),
        ([], errors.UnusableReply, 0),
        (["<html>"], errors.UnusableReply, 0),
    ],
)
def test_invalid_streams_are_errors(
    connect: Callable[[str], SdkClient], events: list[Any], kind: type[errors.CepoError], heard: int
) -> None:
    """An error event, an end without a reason, nothing, no JSON; final once something was streamed."""

    async def answer(_: web.Request) -> web.Response:
        lines = [f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events]
        return web.Response(text="".join(lines), content_type="text/event-stream")

    pieces: list[Mapping[str, Any]] = []
    with background({("POST", "/v1/chat/completions"): answer}) as url, pytest.raises(kind) as caught:
        connect(url).complete(request(pieces))
    assert type(caught.value) is kind
    assert len(pieces) == heard


def test_stream_is_cancelled_with_its_request(simulate: Simulate, connect: Callable[[str], SdkClient]) -> None:
    """In the middle; the API sees that the connection is closed."""
    api = simulate(rules=(Rule(text=TEXT),), latency=Latency(tokens_per_second=5))
    deadline = Deadline(60)
    once(lambda: bool(api.in_flight), deadline.end)
    with pytest.raises(errors.Ended):
        connect(api.url).complete(request([], deadline=deadline, timeout=60.0))
    until(lambda: not api.in_flight)
    assert [call.status for call in api.chat_calls] == [CLIENT_GONE]


def test_tool_calls_arrive_in_pieces() -> None:
    """By index: id and name first, then the arguments; two calls at once."""
    reply = StreamAssembler("m")
    for index, name in ((0, "add"), (1, "mul")):
        head = {"index": index, "id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": ""}}
        reply.add({"choices": [{"delta": {"tool_calls": [head]}}]})
    for index, piece in ((1, '{"a"'), (0, "{"), (1, ":1}"), (0, "}")):
        reply.add({"choices": [{"delta": {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}}]})
    reply.add({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
    assert reply.completion().tool_calls == (
        {"type": "function", "function": {"name": "add", "arguments": "{}"}, "id": "call_0"},
        {"type": "function", "function": {"name": "mul", "arguments": '{"a":1}'}, "id": "call_1"},
    )


@given(JUNK)
def test_chunks_and_replies_of_any_shape_can_be_read(value: Any) -> None:
    """A gateway may send anything: the result is a completion or None."""
    shapes = [value, {"choices": value}, {"choices": [value]}, {"choices": [{"delta": value, "message": value}]}]
    shapes += [{"choices": [{"delta": {"tool_calls": value, "content": value}, "message": {"tool_calls": value}}]}]
    shapes += [{"choices": [{"delta": {"tool_calls": [{"index": value, "function": value}]}}], "usage": value}]
    for shape in shapes:
        reply = StreamAssembler("m")
        reply.add(shape)
        assert isinstance(reply.completion(), Completion)
        assert isinstance(completion_of(shape, "m"), Completion | None)
