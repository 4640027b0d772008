"""Replies that come piece by piece, over real HTTP and from JSON of any shape."""

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

from optillm_cerebras_cepo import errors
from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.llm.assembly import Assembly, completion_of
from optillm_cerebras_cepo.llm.loop import Loop
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
    loop, clients = Loop(), []

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


def test_the_pieces_are_the_reply(simulate: Simulate, connect: Callable[[str], SdkClient]) -> None:
    """Several of them, and the whole at the end with its usage and its reason."""
    api = simulate(rules=(Rule(text=TEXT),))
    heard: list[Mapping[str, Any]] = []
    completion = connect(api.url).complete(request(heard))
    assert api.chat_calls[0].body["stream"] is True
    assert len(heard) > 3
    assert "".join(piece["content"] for piece in heard) == TEXT == completion.text
    assert completion.finish_reason == "stop"
    assert completion.usage == Usage(api.usage.prompt_tokens, api.usage.completion_tokens)


def test_a_whole_reply_and_a_streamed_one_are_the_same(simulate: Simulate, connect: Callable[[str], SdkClient]) -> None:
    """The layers above see no difference."""
    client = connect(simulate(rules=(Rule(text=TEXT),)).url)
    whole = client.complete(ChatRequest("llama-3.3-70b", (Message("user", "?"),), 500, Label(Step.FINAL, 1)))
    assert client.complete(request([])) == whole


def test_pieces_come_as_they_are_made(simulate: Simulate, connect: Callable[[str], SdkClient]) -> None:
    """The first is there long before the last."""
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
def test_a_refusal_is_the_same_error_as_without_a_stream(
    simulate: Simulate, connect: Callable[[str], SdkClient], status: int, kind: type[errors.CepoError]
) -> None:
    """Nothing was heard yet: it may be tried again."""
    heard: list[Mapping[str, Any]] = []
    with pytest.raises(kind):
        connect(simulate(rules=(Rule(reply=Reply(status, {"message": "?"})),)).url).complete(request(heard))
    assert heard == []


def test_a_stream_that_breaks_off_is_not_begun_anew(simulate: Simulate, connect: Callable[[str], SdkClient]) -> None:
    """What the client has seen cannot be taken back: the error is final."""
    heard: list[Mapping[str, Any]] = []
    with pytest.raises(errors.StreamBroken) as caught:
        connect(simulate(rules=(Rule(text=TEXT, fault="cut"),)).url).complete(request(heard))
    assert heard
    assert caught.value.ends is errors.Ends.REQUEST
    assert not caught.value.transient


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
def test_what_a_stream_may_hold_instead(
    connect: Callable[[str], SdkClient], events: list[Any], kind: type[errors.CepoError], heard: int
) -> None:
    """An error event, an end without a reason, nothing, no JSON: an error of ours, final once something was heard."""

    async def answer(_: web.Request) -> web.Response:
        lines = [f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events]
        return web.Response(text="".join(lines), content_type="text/event-stream")

    pieces: list[Mapping[str, Any]] = []
    with background({("POST", "/v1/chat/completions"): answer}) as url, pytest.raises(kind) as caught:
        connect(url).complete(request(pieces))
    assert type(caught.value) is kind
    assert len(pieces) == heard


def test_a_stream_is_given_up_with_its_request(simulate: Simulate, connect: Callable[[str], SdkClient]) -> None:
    """In the middle; the API sees that nobody listens."""
    api = simulate(rules=(Rule(text=TEXT),), latency=Latency(tokens_per_second=5))
    deadline = Deadline(60)
    once(lambda: bool(api.in_flight), deadline.end)
    with pytest.raises(errors.Ended):
        connect(api.url).complete(request([], deadline=deadline, timeout=60.0))
    until(lambda: not api.in_flight)
    assert [call.status for call in api.chat_calls] == [CLIENT_GONE]


def test_tool_calls_come_in_pieces() -> None:
    """By index: id and name first, the arguments bit by bit; two of them at once."""
    reply = Assembly("m")
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
def test_chunks_and_replies_of_any_shape_are_read(value: Any) -> None:
    """A gateway may answer with anything; it is a completion, or it is none."""
    shapes = [value, {"choices": value}, {"choices": [value]}, {"choices": [{"delta": value, "message": value}]}]
    shapes += [{"choices": [{"delta": {"tool_calls": value, "content": value}, "message": {"tool_calls": value}}]}]
    shapes += [{"choices": [{"delta": {"tool_calls": [{"index": value, "function": value}]}}], "usage": value}]
    for shape in shapes:
        reply = Assembly("m")
        reply.add(shape)
        assert isinstance(reply.completion(), Completion)
        assert isinstance(completion_of(shape, "m"), Completion | None)
