from __future__ import annotations

import json
import re
import time
from typing import Any

import httpx
import pytest
from cerebras.cloud.sdk import APIConnectionError, InternalServerError, RateLimitError
from support.waiting import until

from optillm_cerebras_cepo.simulator import DEFAULT_TEXT, Answer, Fault, Latency, Reply, Rule, problems
from optillm_cerebras_cepo.simulator.latency import Sampler
from optillm_cerebras_cepo.simulator.schema import ChatCompletionServerRequest
from simulator.conftest import Client, Start


def content(answer: Any) -> Any:
    """Return the text of an answer."""
    return answer.choices[0].message.content


@pytest.mark.parametrize("form", ['rate it as "Rating: [[rating]]"', 'reply "Better Response: [[0]]" or the other'])
def test_default_answer_is_a_rating_where_one_is_asked_for(started: Start, form: str) -> None:
    """Also that of a rule without a text, but not a rule's own text; any other call gets a plain answer."""
    client = started(rules=(Rule(pattern="first", times=1), Rule(pattern="own", text="mine")))
    assert "[[" not in content(client.create("What is 6 times 7?"))
    for question in (f"first: {form}", f"then: {form}"):
        assert re.search(r"\nRating: \[\[1\]\]\nBetter Response: \[\[0\]\]$", content(client.create(question)))
    assert content(client.create(f"own: {form}")) == "mine"


def test_first_matching_rule_answers(started: Start) -> None:
    """Rules match by regular expression, in order, by default in the last message, and for their model only."""
    client = started(
        rules=(
            Rule(pattern="^two", text="2"),
            Rule(pattern="secret", search_in="all", text="found"),
            Rule(pattern="", model="gpt-oss-120b", text="other model"),
            Rule(pattern="two|three", text="3"),
        )
    )
    assert [content(client.create(text)) for text in ("two", "not two", "one")] == ["2", "3", DEFAULT_TEXT]
    hidden = [{"role": "system", "content": "secret"}, {"role": "user", "content": "one"}]
    assert content(client.create(messages=hidden)) == "found"
    assert content(client.create("three", model="gpt-oss-120b")) == "other model"
    last = [{"role": "user", "content": "two"}, {"role": "user", "content": "one"}]
    assert content(client.create(messages=last)) == DEFAULT_TEXT


def test_rule_applies_a_limited_number_of_times(started: Start) -> None:
    """After that, later rules apply."""
    client = started(rules=(Rule(text="a", times=2), Rule(text="b", times=1)))
    assert [content(client.create()) for _ in range(4)] == ["a", "a", "b", DEFAULT_TEXT]


def test_texts_are_used_in_turn(started: Start) -> None:
    """After the last text the first one is used again."""
    client = started(rules=(Rule(text=("a", "b")),))
    assert [content(client.create()) for _ in range(3)] == ["a", "b", "a"]


def test_responder_answers_calls_without_a_rule(started: Start) -> None:
    """Its label is logged, a ValueError is a validation error, and None stands for the default text."""

    def respond(request: ChatCompletionServerRequest) -> Answer | None:
        if request.user == "invalid":
            raise ValueError("reason of the refusal")
        return Answer("by responder", label="labeled") if request.user == "known" else None

    client = started(rules=(Rule("scripted", text="by rule"),), responder=respond)
    assert content(client.create("scripted", user="known")) == "by rule"
    assert content(client.create(user="known")) == "by responder"
    assert content(client.create(user="other")) == DEFAULT_TEXT
    response = client.post(user="invalid")
    assert (response.status_code, "reason of the refusal" in response.text) == (400, True)
    assert [call.label for call in client.simulator.chat_calls] == ["", "labeled", "", ""]


def test_finish_reason_can_be_set(started: Start) -> None:
    """It is independent of the length."""
    client = started(rules=(Rule(text="x", finish_reason="content_filter"),))
    assert client.create().choices[0].finish_reason == "content_filter"


def test_reply_is_sent_verbatim(started: Start) -> None:
    """With its status, body and headers."""
    client = started(rules=(Rule(reply=Reply(503, {"message": "down", "code": "x"}, {"retry-after": "7"})),))
    with pytest.raises(InternalServerError) as caught:
        client.create()
    assert caught.value.body == {"message": "down", "code": "x"}
    assert caught.value.response.headers["retry-after"] == "7"
    assert client.simulator.calls[0].code == "x"


def test_recorded_problems_can_be_scripted(started: Start) -> None:
    """A rule can reply with any error of the API."""
    client = started(rules=(Rule(reply=problems.token_quota_exceeded("day"), times=1),))
    with pytest.raises(RateLimitError, match="Tokens per day"):
        client.create()
    assert content(client.create()) == DEFAULT_TEXT


def test_html_page_with_status_200(started: Start) -> None:
    """The SDK returns the HTML page as a string."""
    client = started(rules=(Rule(reply=problems.gateway_page(200)),))
    assert client.create().startswith("<html>")
    assert client.post().headers["content-type"] == "text/html"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["close", "cut"])
def test_connection_is_dropped(started: Start, fault: Fault, stream: bool) -> None:
    """Before or within the answer; the log has status 0, and the next call works."""
    client = started(rules=(Rule(fault=fault, times=1),))
    with pytest.raises((APIConnectionError, httpx.RemoteProtocolError)):
        list(client.create(stream=stream))
    assert [(call.status, call.completion_tokens) for call in client.simulator.calls] == [(0, 0)]
    assert content(client.create()) == DEFAULT_TEXT
    assert client.simulator.in_flight == 0


def test_cut_sends_a_part(started: Start) -> None:
    """The client receives the first part before the connection is closed."""
    client = started(rules=(Rule(fault="cut", text="abcd" * 200),))
    seen = []
    with pytest.raises(httpx.RemoteProtocolError):
        seen.extend(client.create(stream=True))
    assert seen


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        ("empty_content", {"content": ""}),
        ("null_content", {"content": None}),
        ("no_choices", []),
        ("null_choices", None),
    ],
)
def test_incomplete_answers(started: Start, fault: Fault, part: Any) -> None:
    """Status 200 with missing content; the tokens are counted."""
    client = started(rules=(Rule(fault=fault),))
    body = client.post().json()
    if isinstance(part, dict):
        assert body["choices"][0]["message"] == {"role": "assistant", **part}
    else:
        assert body["choices"] == part
    assert body["usage"]["completion_tokens"] == client.simulator.usage.completion_tokens > 0
    pieces = [chunk.choices[0].delta.content for chunk in client.create(stream=True) if chunk.choices]
    assert [piece for piece in pieces if piece] == []


def test_missing_usage(started: Start) -> None:
    """The reply has no usage, the log has it."""
    client = started(rules=(Rule(fault="no_usage"),))
    assert client.create().usage is None
    assert [chunk.usage for chunk in client.create(stream=True) if chunk.usage] == []
    assert client.simulator.usage.completion_tokens > 0


def test_answer_has_the_documented_extras(shared: Client) -> None:
    """An id, the model, a fingerprint and time_info in seconds."""
    answer = shared.create()
    assert (answer.object, answer.model) == ("chat.completion", "llama-3.3-70b")
    assert answer.id
    assert answer.system_fingerprint
    assert answer.created == pytest.approx(time.time(), abs=3600)
    assert answer.time_info.queue_time == answer.time_info.total_time == 0


def test_latency_is_base_plus_output(started: Start) -> None:
    """Seconds before the first token, then tokens per second; time_info has the same values."""
    client = started(
        latency=Latency(base=0.05, tokens_per_second=100), rules=(Rule(text="abcd" * 10),), validation_status=422
    )
    before = time.monotonic()
    info = client.create().time_info
    assert time.monotonic() - before >= 0.14
    assert (info.prompt_time, info.completion_time) == (0.05, pytest.approx(0.1))
    assert info.total_time == pytest.approx(0.15)


def test_time_scale_compresses_latency(started: Start) -> None:
    """A minute passes in a fraction of a second."""
    client = started(latency=Latency(base=60), time_scale=600)
    before = time.monotonic()
    assert client.create().time_info.total_time == pytest.approx(0.1)
    assert time.monotonic() - before >= 0.09


def test_rule_has_its_own_latency(started: Start) -> None:
    """It replaces the configured one, also for verbatim replies."""
    client = started(
        latency=Latency(base=10_000), rules=(Rule(latency=0.05, times=1), Rule(latency=0.1, reply=Reply(500, "x")))
    )
    before = time.monotonic()
    assert client.create().time_info.total_time == pytest.approx(0.05)
    between = time.monotonic()
    assert client.post().status_code == 500
    assert between - before >= 0.04
    assert time.monotonic() - between >= 0.09


def test_jitter_is_repeatable_and_bounded() -> None:
    """The seed determines it, and it stays within its share."""

    def draw(seed: int) -> Any:
        sampler = Sampler(Latency(base=1, tokens_per_second=100, jitter=0.2, seed=seed))
        return [sampler.draw(100).total for _ in range(50)]

    assert draw(1) == draw(1) != draw(2)
    assert all(1.6 <= seconds <= 2.4 for seconds in draw(1))
    assert max(draw(1)) - min(draw(1)) > 0.2


@pytest.mark.parametrize(
    "fields", [{"base": -1}, {"tokens_per_second": 0}, {"jitter": 1.1}, {"slow_share": -1}, {"slow_factor": 0.5}]
)
def test_invalid_latency_is_refused(fields: dict[str, Any]) -> None:
    """When the options are created."""
    with pytest.raises(ValueError, match="must"):
        Latency(**fields)


def test_stream_through_the_sdk(started: Start) -> None:
    """Role, pieces of text, then finish_reason, usage and time_info in the last chunk."""
    text = "The answer. " * 30
    client = started(rules=(Rule(text=text, reasoning="because " * 20),))
    chunks = list(client.create(stream=True, model="gpt-oss-120b"))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == text
    assert "".join(delta.reasoning or "" for delta in deltas) == "because " * 20
    assert len(chunks) > 5
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == client.simulator.usage.completion_tokens == 90 + 40
    assert chunks[-1].time_info.total_time == 0
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_stream_ends_with_done(shared: Client) -> None:
    """Server-sent events, the last one [DONE]."""
    answer = shared.post(stream=True, max_completion_tokens=2)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["choices"][0]["finish_reason"] == "length"
    assert json.loads(events[-2])["usage"]["completion_tokens"] == 2


def test_stream_is_distributed_over_the_latency(started: Start) -> None:
    """The first chunk arrives after the base latency, the last one after the whole latency."""
    client = started(latency=Latency(base=0.05, tokens_per_second=1_000), rules=(Rule(text="abcd" * 200, held=True),))
    before = time.monotonic()
    stream = client.create(stream=True)
    next(stream)
    assert time.monotonic() - before >= 0.045
    until(lambda: client.simulator.held)
    client.simulator.release()
    assert len(list(stream)) > 5
    assert time.monotonic() - before >= 0.2


def test_errors_of_a_stream_are_json_replies(shared: Client) -> None:
    """A refused stream is a JSON error with its status."""
    answer = shared.post(stream=True, temperature=9)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")


def test_slow_calls_are_mixed_in() -> None:
    """With their share and factor; the jitter of other calls is unchanged, and the seed determines them."""

    def draw(share: float, seed: int = 1) -> Any:
        sampler = Sampler(Latency(base=1, jitter=0.1, seed=seed, slow_share=share, slow_factor=20))
        return [sampler.draw(0).total for _ in range(2000)]

    plain, mixed = draw(0), draw(0.1)
    slow = [number for number, seconds in enumerate(mixed) if seconds > 2]
    assert 146 <= len(slow) <= 254  # four standard errors
    assert all(
        seconds == pytest.approx(plain[number] * (20 if number in set(slow) else 1))
        for number, seconds in enumerate(mixed)
    )
    assert draw(0.1) == mixed != draw(0.1, seed=2)
    assert min(draw(1)) > 17
