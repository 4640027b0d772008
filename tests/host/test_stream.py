"""Streams through OptiLLM's application: progress, answer, usage, and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from optillm_cerebras_cepo.simulator.answers import Rule, ToolUse
from optillm_cerebras_cepo.simulator.latency import Latency
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
TEXT = "one two three four five six seven eight nine ten. " * 8


def chunks(response: Any) -> list[dict[str, Any]]:
    """What a stream holds, up to [DONE] if it is there."""
    assert response.content_type.startswith("text/event-stream")
    events = [event for event in response.get_data(as_text=True).split("\n\n") if event]
    lines = [event.removeprefix("data: ") for event in events if not event.startswith(":")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def deltas(stream: list[dict[str, Any]], name: str, choice: int = 0) -> list[str]:
    """The deltas of one kind."""
    deltas = [one["delta"] for chunk in stream for one in chunk["choices"] if one["index"] == choice]
    return [delta[name] for delta in deltas if delta.get(name)]


def test_a_stream_tells_progress_then_the_answer_then_what_it_took(serve: Any, simulate: Simulate) -> None:
    """The role, a line for each call, the answer in chunks, the finish reason, the usage, the end."""
    api = simulate(rules=(Rule(text=TEXT + "Rating: [[1]]"),))
    response = serve(api.url)(stream=True, stream_options={"include_usage": True}, cepo_cerebras_rate_always=True)
    stream = chunks(response)
    assert response.get_data(as_text=True).endswith("data: [DONE]\n\n")
    assert stream[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    lines = deltas(stream, "reasoning_content")
    assert len([line for line in lines if "tokens in" in line]) == 27
    assert "candidate 2: rated 1\n" in lines
    assert "3 of 3 candidates agree\n" in lines
    assert "".join(deltas(stream, "content")) == TEXT + "Rating: [[1]]"
    assert len(deltas(stream, "content")) > 1
    assert [one["finish_reason"] for chunk in stream for one in chunk["choices"] if one["finish_reason"]] == ["stop"]
    assert stream[-1]["choices"] == []
    assert stream[-1]["usage"]["total_tokens"] == api.usage.total_tokens
    assert all(chunk["usage"] is None for chunk in stream[:-1])
    assert stream[-2]["cepo_cerebras"]["calls"] == 27
    assert {chunk["id"] for chunk in stream} == {stream[0]["id"]}
    assert {chunk["object"] for chunk in stream} == {"chat.completion.chunk"}
    assert response.headers["cache-control"] == "no-cache"


def test_without_include_usage_no_chunk_has_a_usage(serve: Any, simulate: Simulate) -> None:
    """As in OpenAI's API."""
    stream = chunks(serve(simulate().url)(stream=True, **SMALL))
    assert not [chunk for chunk in stream if "usage" in chunk]
    assert stream[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(("effort", "calls"), [("none", 1), ("low", 6), ("auto", 5)])
def test_a_sole_answer_streams_token_by_token(serve: Any, simulate: Simulate, effort: str, calls: int) -> None:
    """With no effort, one candidate, or plans that agree; each token is sent once."""
    api = simulate(rules=(Rule(text=TEXT),))
    stream = chunks(serve(api.url)(stream=True, cepo_cerebras_effort=effort))
    assert len(api.chat_calls) == calls
    assert [call.body.get("stream") for call in api.chat_calls] == [None] * (calls - 1) + [True]
    assert "".join(deltas(stream, "content")) == TEXT
    assert len(deltas(stream, "content")) > 5
    if effort == "auto":
        assert "candidate 1: 2 of 2 plans agree\n" in deltas(stream, "reasoning_content")


@pytest.mark.parametrize("effort", ["none", "low", "auto", "medium"])
def test_progress_never_follows_the_answer(serve: Any, simulate: Simulate, effort: str) -> None:
    """Clients show progress above the answer."""
    api = simulate(rules=(Rule(text=TEXT),))
    deltas = [one["delta"] for chunk in chunks(serve(api.url)(stream=True, cepo_cerebras_effort=effort))
              for one in chunk["choices"]]  # fmt: skip
    kinds = [name for delta in deltas for name in ("reasoning_content", "content") if delta.get(name)]
    assert "content" in kinds
    assert "reasoning_content" not in kinds[kinds.index("content") :]


def test_progress_never_follows_a_tool_call(serve: Any, simulate: Simulate) -> None:
    """Agents would show it as thinking behind the call."""
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
    api = simulate(rules=(Rule(tool_calls=(ToolUse("add", "{}"), ToolUse("add", "{}"))),))
    stream = chunks(serve(api.url)(stream=True, tools=[tool]))
    kinds = [kind for chunk in stream for one in chunk["choices"] for kind in one["delta"]]
    assert set(kinds[kinds.index("tool_calls") :]) == {"tool_calls"}


def test_candidates_that_may_not_be_chosen_are_not_streamed(serve: Any, simulate: Simulate) -> None:
    """With several candidates the answer is sent when it is chosen; plans that disagree need several."""
    texts = tuple(f"The answer is {number}." for number in range(100))
    for effort in ("medium", "auto"):
        api = simulate(rules=(Rule(text=texts),))
        stream = chunks(serve(api.url)(stream=True, cepo_cerebras_effort=effort))
        assert not [call for call in api.chat_calls if call.body.get("stream")]
        assert "".join(deltas(stream, "content")) in texts


def test_reasoning_is_not_part_of_a_streamed_answer(serve: Any, simulate: Simulate) -> None:
    """Older models write it into the content."""
    api = simulate(rules=(Rule(text="<think>hm, " + TEXT + "</think>\n\nThe answer is 42."),))
    stream = chunks(serve(api.url)(stream=True, cepo_cerebras_effort="none"))
    assert "".join(deltas(stream, "content")) == "The answer is 42."


def test_an_error_after_the_first_byte_is_an_event(serve: Any, simulate: Simulate) -> None:
    """In OpenAI's format, and the last event; the status is sent already."""
    wrong = Reply(401, {"message": "Wrong API Key", "code": "wrong_api_key"})
    response = serve(simulate(rules=(Rule(reply=wrong),)).url)(stream=True)
    assert response.status_code == 200
    assert chunks(response)[-1]["error"]["code"] == "wrong_api_key"
    assert "[DONE]" not in response.get_data(as_text=True)


def test_an_interrupted_answer_ends_with_an_error(serve: Any, simulate: Simulate) -> None:
    """What the client has read cannot be taken back."""
    api = simulate(rules=(Rule(text=TEXT, fault="cut"),))
    stream = chunks(serve(api.url)(stream=True, cepo_cerebras_effort="none"))
    assert deltas(stream[:-1], "content")
    assert stream[-1]["error"]["code"] == "stream_broken"
    assert len(api.chat_calls) == 1


def test_a_bad_request_for_a_stream_has_its_status(ask: Any) -> None:
    """Errors that are known before the first byte are not events."""
    response = ask(stream=True, temperature=7)
    assert (response.status_code, response.get_json()["error"]["param"]) == (400, "temperature")


def test_several_answers_stream_by_their_index(serve: Any, simulate: Simulate) -> None:
    """Each with its role, text and finish reason."""
    texts = tuple(f"The answer is {number}." for number in range(100))
    stream = chunks(serve(simulate(rules=(Rule(text=texts),)).url)(stream=True, n=2, cepo_cerebras_effort="none"))
    answers = ["".join(deltas(stream, "content", choice)) for choice in (0, 1)]
    assert len(set(answers)) == 2
    assert set(answers) <= set(texts)
    ends = [one["index"] for chunk in stream for one in chunk["choices"] if one["finish_reason"]]
    assert ends == [0, 1]


def test_an_idle_stream_sends_comments(serve: Any, simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients skip them, and proxies keep the connection open."""
    from optillm_cerebras_cepo.host import stream

    assert stream.HEARTBEAT <= 10
    monkeypatch.setattr(stream, "HEARTBEAT", 0.05)
    monkeypatch.setattr(stream, "POLL", 0.05)
    api = simulate(rules=(Rule(held=True),))
    comments = 0
    for event in serve(api.url)(stream=True, cepo_cerebras_effort="none").iter_encoded():
        comments += event == b": working\n\n"
        if comments == 3:
            api.release()
    assert comments >= 3
    busy = serve(simulate(latency=Latency(base=0.04)).url)  # news all the time, of which the client is told nothing
    text = busy(stream=True, cepo_cerebras_progress=False, **SMALL).get_data(as_text=True)
    assert text.count(": working\n\n") >= 1


def test_a_wait_for_the_rate_limit_is_reported(serve: Any, simulate: Simulate) -> None:
    """Clients that receive nothing for a minute give up."""
    busy = Reply(429, {"message": "?", "code": "request_quota_exceeded"}, {"retry-after": "1"})
    api = simulate(rules=(Rule(reply=busy, times=1), Rule(text=TEXT)))
    lines = deltas(chunks(serve(api.url)(stream=True, cepo_cerebras_effort="none")), "reasoning_content")
    waits = "direct: waiting 1.0 s: the Cerebras API limits this key (request_quota_exceeded); try again later\n"
    assert waits in lines


def test_progress_can_be_switched_off(serve: Any, simulate: Simulate) -> None:
    """For clients that show it as the model's own reasoning."""
    stream = chunks(serve(simulate().url)(stream=True, cepo_cerebras_progress=False, **SMALL))
    assert deltas(stream, "reasoning_content") == []
    assert deltas(stream, "content")
