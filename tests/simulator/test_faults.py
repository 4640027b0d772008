"""Each fault as a plain HTTP client sees it, with and without streaming, and its record in the log."""

from __future__ import annotations

import json
import socket
from collections import Counter
from typing import Any, get_args
from urllib.parse import urlsplit

import httpx
import pytest
from cerebras.cloud.sdk import RateLimitError
from support.waiting import PATIENCE, until

from optillm_cerebras_cepo.simulator import (
    CLIENT_GONE,
    DEFAULT_TEXT,
    FAULTS,
    Fault,
    Faults,
    RateLimits,
    Rule,
    Simulator,
)
from optillm_cerebras_cepo.simulator.faults import FaultSampler
from simulator.conftest import Start

TEXT = "The answer is in the last of these words: forty-two."
BROKEN = ("close", "reset", "cut", "reset_body", "wrong_length")
STREAMS = [False, True]


def exchange(simulator: Simulator, stream: bool = False) -> Any:
    """Make a call over a socket; return the bytes of the reply, and whether the connection was reset."""
    address = urlsplit(simulator.url)
    body = json.dumps(
        {"model": "llama3.1-8b", "messages": [{"role": "user", "content": "hello"}], "stream": stream}
    ).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer csk-x\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    seen = b""
    with socket.create_connection((address.hostname, address.port or 80), timeout=PATIENCE) as connection:
        connection.sendall(head.encode() + body)
        try:
            while piece := connection.recv(65536):
                seen += piece
        except ConnectionResetError:
            return seen, True
    return seen, False


def last_call(simulator: Simulator) -> Any:
    """Return the last call when it has ended."""
    until(lambda: simulator.chat_calls[-1].status is not None)
    return simulator.chat_calls[-1]


def test_table_has_every_fault() -> None:
    """Every fault has a description, and every description a fault."""
    assert set(FAULTS) == set(get_args(Fault))


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize(
    ("fault", "code", "part"),
    [
        ("request_quota", "request_quota_exceeded", "Requests per minute"),
        ("request_quota_day", "request_quota_exceeded", "Requests per day"),
        ("token_quota", "token_quota_exceeded", "Tokens per minute"),
        ("token_quota_day", "token_quota_exceeded", "Tokens per day"),
        ("queue_exceeded", "queue_exceeded", "high traffic"),
    ],
)
@pytest.mark.parametrize("by", ["rule", "chance"])
def test_refusals_cost_nothing(started: Start, fault: Fault, code: str, part: Any, stream: bool, by: Any) -> None:
    """The recorded bodies with 429; nothing is charged, and the rule counts as used."""
    limits = RateLimits(requests_per_day=100)
    if by == "rule":
        client = started(rules=(Rule(fault=fault, times=2),), limits=limits)
    else:
        client = started(faults=Faults({fault: 1}), limits=limits)
    with pytest.raises(RateLimitError, match=part):
        client.create(stream=stream)
    answer = client.post(stream=stream)
    assert (answer.status_code, answer.json()["code"]) == (429, code)
    assert answer.headers["x-ratelimit-remaining-requests-day"] == "100"
    assert [(call.status, call.code, call.admission_tokens) for call in client.simulator.chat_calls] == [
        (429, code, 0),
        (429, code, 0),
    ]
    assert client.post(stream=stream).status_code == (200 if by == "rule" else 429)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize(
    ("fault", "status", "media_type"),
    [
        ("500", 500, "application/json"),
        ("502", 502, "text/html"),
        ("503", 503, "application/json"),
        ("html", 200, "text/html"),
    ],
)
@pytest.mark.parametrize("by", ["rule", "chance"])
def test_replies_instead_of_an_answer(
    started: Start, fault: Fault, status: int, media_type: str, stream: bool, by: Any
) -> None:
    """Status and content type; the call is admitted, and no tokens are counted."""
    options = {"rules": (Rule(fault=fault),)} if by == "rule" else {"faults": Faults({fault: 1})}
    client = started(**options)
    answer = client.post(stream=stream)
    assert (answer.status_code, answer.headers["content-type"]) == (status, media_type)
    call = last_call(client.simulator)
    assert (call.status, call.admitted, call.completion_tokens) == (status, True, 0)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("fault", BROKEN)
def test_broken_connections(started: Start, fault: Fault, stream: bool) -> None:
    """FIN or RST, before or within the reply; no tokens are counted, and the next call works."""
    client = started(rules=(Rule(fault=fault, text=TEXT * 20, times=2),))
    seen, was_reset = exchange(client.simulator, stream)
    assert was_reset == (fault in ("reset", "reset_body"))
    assert (seen == b"") == (fault in ("close", "reset"))
    assert b"[DONE]" not in seen
    with pytest.raises(httpx.TransportError):
        client.post(stream=stream)
    assert [(call.status, call.completion_tokens) for call in client.simulator.chat_calls] == [(0, 0)] * 2
    assert client.post(stream=stream).status_code == 200
    assert client.simulator.in_flight == 0


def test_wrong_length_is_larger_than_the_body(started: Start) -> None:
    """The JSON is complete, but Content-Length is larger."""
    client = started(faults=Faults({"wrong_length": 1}))
    head, _, body = exchange(client.simulator)[0].partition(b"\r\n\r\n")
    assert json.loads(body)["choices"][0]["message"]["content"] == DEFAULT_TEXT
    assert f"Content-Length: {len(body) + len(body) // 2}".encode() in head


def test_short_length_is_half_of_the_body(started: Start) -> None:
    """The rest follows, and looks like another reply to a client that relies on Content-Length."""
    client = started(faults=Faults({"short_length": 1}))
    head, _, body = exchange(client.simulator)[0].partition(b"\r\n\r\n")
    assert json.loads(body)["choices"][0]["message"]["content"] == DEFAULT_TEXT
    assert f"Content-Length: {len(body) // 2}".encode() in head
    with pytest.raises(ValueError, match=r"."):
        client.post().json()
    assert client.simulator.usage.completion_tokens == 0


@pytest.mark.parametrize("stream", STREAMS)
def test_hang_ends_when_the_client_disconnects(started: Start, stream: bool) -> None:
    """Nothing is sent; the call runs until the client disconnects, and costs no tokens."""
    client = started(faults=Faults({"hang": 1}))
    client.leave(lambda: client.simulator.stalled, stream=stream)
    call = last_call(client.simulator)
    assert (call.status, call.admitted, call.completion_tokens) == (CLIENT_GONE, True, 0)
    assert client.simulator.in_flight == 0


@pytest.mark.parametrize("stream", STREAMS)
def test_trickle_sends_the_reply_byte_by_byte(started: Start, stream: bool) -> None:
    """One byte per simulated second; the answer is complete and counted."""
    client = started(rules=(Rule(fault="trickle", text="42"),), time_scale=20_000)
    answer = client.post(stream=stream)
    call = last_call(client.simulator)
    assert call.completion_tokens == client.simulator.usage.completion_tokens > 0
    assert call.ended - call.started > len(answer.content) / 20_000 * 0.9
    if stream:
        assert answer.text.endswith("data: [DONE]\n\n")
    else:
        assert answer.json()["choices"][0]["message"]["content"] == "42"


def test_trickle_is_not_counted_after_a_disconnect(started: Start) -> None:
    """Its usage was not sent."""
    client = started(faults=Faults({"trickle": 1}))
    with client.http.stream(
        "POST", "/v1/chat/completions", json={"model": "llama3.1-8b", "messages": [{"role": "user", "content": "x"}]}
    ) as answer:
        assert next(answer.iter_raw())
    call = last_call(client.simulator)
    assert (call.status, call.completion_tokens) == (CLIENT_GONE, 0)


@pytest.mark.parametrize("stream", STREAMS)
def test_invalid_json(started: Start, stream: bool) -> None:
    """The reply is valid HTTP with half of the JSON."""
    client = started(faults=Faults({"invalid_json": 1}))
    answer = client.post(stream=stream)
    assert answer.status_code == 200
    if stream:
        broken = [line for line in answer.text.splitlines() if line.startswith("data: {") and not line.endswith("}")]
        assert len(broken) == 1
    else:
        assert answer.headers["content-type"] == "application/json"
        with pytest.raises(ValueError, match=r"."):
            answer.json()
    assert last_call(client.simulator).status == 200
    assert client.simulator.usage.completion_tokens == 0


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("fault", ["length", "content_filter"])
def test_answers_cut_by_the_api(started: Start, fault: Fault, stream: bool) -> None:
    """Half of the text, its finish_reason and its usage."""
    client = started(rules=(Rule(text=TEXT, fault=fault),))
    answer = client.create(stream=stream)
    if stream:
        chunks = list(answer)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        reason, usage = chunks[-1].choices[0].finish_reason, chunks[-1].usage
    else:
        text, reason, usage = answer.choices[0].message.content, answer.choices[0].finish_reason, answer.usage
    assert reason == fault
    assert TEXT.startswith(text)
    assert 0 < len(text) < len(TEXT)
    assert usage.completion_tokens == client.simulator.usage.completion_tokens == len(text) // 4


@pytest.mark.parametrize("stream", STREAMS)
def test_duplicate_headers(started: Start, stream: bool) -> None:
    """The rate-limit headers and Content-Type are sent twice, with the same values."""
    client = started(faults=Faults({"duplicate_headers": 1}), limits=RateLimits(requests_per_minute=5))
    answer = client.post(stream=stream)
    names = Counter(name.lower().decode() for name, _ in answer.headers.raw)
    twice = {name for name, count in names.items() if count == 2}
    assert twice == {"content-type", "x-ratelimit-limit-requests-minute", "x-ratelimit-remaining-requests-minute"}
    assert answer.status_code == 200
    assert client.simulator.usage.completion_tokens > 0


def test_shares_are_probabilities() -> None:
    """Each fault has its share, others do not occur, and the same seed gives the same faults."""

    def draw(seed: int) -> Any:
        sampler = FaultSampler(Faults({"hang": 0.1, "500": 0.4}, seed))
        return [sampler.draw() for _ in range(4000)]

    seen = Counter(draw(1))
    assert set(seen) == {"hang", "500", None}
    assert seen["hang"] == pytest.approx(400, abs=4 * 19)  # four standard deviations
    assert seen["500"] == pytest.approx(1600, abs=4 * 31)
    assert draw(1) == draw(1) != draw(2)


def test_faults_are_drawn_before_rules(started: Start) -> None:
    """A fault that replaces the reply uses no rule; other faults change the rule's reply."""
    client = started(rules=(Rule(text="a", times=1), Rule(text="b")), faults=Faults({"500": 0.5}, seed=1))
    answers = [client.post() for _ in range(12)]
    texts = [one.json()["choices"][0]["message"]["content"] for one in answers if one.status_code == 200]
    assert 0 < len(texts) < 12
    assert texts == ["a", *["b"] * (len(texts) - 1)]
    client = started(rules=(Rule(text=TEXT),), faults=Faults({"no_usage": 1}))
    body = client.post().json()
    assert body["choices"][0]["message"]["content"] == TEXT
    assert "usage" not in body


def test_invalid_requests_have_no_faults(started: Start) -> None:
    """A wrong key or field gets its usual error."""
    client = started(faults=Faults({"hang": 1}))
    assert client.post(temperature=9).status_code == 400
