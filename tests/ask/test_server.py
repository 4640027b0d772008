"""Servers that `ask` is pointed at: ours, and those that are not."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from optillm_cerebras_cepo.ask.screen import Screen, answer
from optillm_cerebras_cepo.ask.server import ServerAnswering
from optillm_cerebras_cepo.ask.updates import AskError, Entries, Reply
from optillm_cerebras_cepo.ask.views import PlainView
from optillm_cerebras_cepo.trace.live import LiveTrace

Sent = Callable[..., Reply]
STREAM = {"content-type": "text/event-stream"}
URL = "http://user:secret@127.0.0.1:1/v1"


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """Ask a server that sends this, show what it tells in both views, and return its reply."""

    def ask(content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
        response = httpx.Response(status, headers=STREAM if headers is None else headers, content=content)
        transport = httpx.MockTransport(lambda _: response)
        client = httpx.Client
        monkeypatch.setattr(httpx, "Client", lambda **options: client(transport=transport, **options))
        try:
            return _shown(ServerAnswering(URL, "", {}))
        finally:
            monkeypatch.setattr(httpx, "Client", client)

    return ask


def _shown(answering: ServerAnswering) -> Reply:
    live, lines = LiveTrace(), list[str]()
    screen, plain = Screen("Why?", "", live), PlainView(lines.append, lines.append, texts=True)
    console = Console(file=io.StringIO(), width=100)
    for update in answering.updates():
        if isinstance(update, Entries):
            live.add(update.entries)
            plain.show(update.entries)
            console.print(screen)
        elif isinstance(update, Reply):
            screen.end(update.account)
            plain.end(update)
            console.print(screen, answer(update))
            assert "\x1b" not in "".join(lines[:-1])
            return update
    raise AssertionError("neither a reply nor an error")


def events(*chunks: Any) -> bytes:
    """Return a stream of these chunks, with its end."""
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


TEXT = {"choices": [{"delta": {"content": "It is 42."}, "finish_reason": "stop"}], "model": "m"}


def test_a_stream_of_any_server_with_chat_completions_has_an_answer(shown: Sent) -> None:
    """Without this plugin there is no `cepo_cerebras` object; fields may be null; other fields are ignored."""
    others = [{**TEXT, "error": None, "usage": None, "cepo_cerebras": None, "more": [1]}, {"choices": []}]
    reply = shown(b": a comment\n\n" + events({"choices": [{"delta": {}}]}, *others))
    assert (reply.text, reply.finish_reason, reply.account) == ("It is 42.", "stop", {})


def test_a_line_separator_within_a_text_ends_no_line(shown: Sent) -> None:
    """It is a legal character of JSON."""
    chunk = {"choices": [{"delta": {"content": "a\u2028b"}}]}
    assert (
        shown(b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\ndata: [DONE]\n\n").text == "a\u2028b"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"data: [DONE]\n\n",
        b'data: {"a":\n\n',
        b"data: \xff\n\n",
        events([1]),
        events(None),
        events({"choices": None}),
        events({"choices": ["x"]}),
        events({"choices": [{"delta": {"content": ["x"]}}]}),
        events({"cepo_cerebras": "x"}),
        events({"cepo_cerebras": {"trace": [1]}}),
        events({"cepo_cerebras": {"trace": {"calls": {"number": "1"}}}}),
        events({"cepo_cerebras": {"seconds": "x"}}, TEXT),
        events({"cepo_cerebras": {"degraded": [1]}}, TEXT),
        events({"usage": "x"}),
    ],
    ids=repr,
)
def test_what_is_no_stream_of_ours_is_one_line(shown: Sent, content: bytes) -> None:
    """And no traceback."""
    with pytest.raises(AskError) as caught:
        shown(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b'{"error": {"message": "no \\u001b]0;x\\u0007 way", "code": "x"}}', 401, "no ]0;x way"),
        (b'{"error": {"message": "two\\nlines"}, "cepo_cerebras": null}', 500, "two lines"),
        (b'{"error": "boom"}', 500, "boom"),
        (b"<html>", 404, "answered with status 404"),
        (b'{"choices": []}', 200, "answered with status 200"),
    ],
)
def test_an_error_is_the_servers_own_words(shown: Sent, content: bytes, status: int, words: str) -> None:
    """On one line, and safe to show."""
    with pytest.raises(AskError) as caught:
        shown(content, status, {"content-type": "application/json"})
    assert words in str(caught.value)
    assert caught.value.status == status
    assert "secret" not in str(caught.value)


def test_an_error_in_a_stream_says_what_was_spent(shown: Sent) -> None:
    """As ours does."""
    with pytest.raises(AskError, match="too late") as caught:
        shown(events({"error": {"message": "too late"}, "cepo_cerebras": {"calls": 3}}))
    assert caught.value.body["cepo_cerebras"] == {"calls": 3}


WORDS = """choices delta content finish_reason model usage cepo_cerebras trace calls waits events number step
candidate started seconds message kind error text rating degraded fitted candidates chosen cost completion_tokens"""
NAMES = st.sampled_from(re.findall(r"\w+", WORDS))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=5),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        JSON
        | st.fixed_dictionaries({"cepo_cerebras": st.fixed_dictionaries({"trace": JSON})})
        | st.fixed_dictionaries({"cepo_cerebras": JSON}),
        max_size=3,
    )
)
def test_whatever_a_server_sends_is_shown_or_refused(shown: Sent, chunks: list[Any]) -> None:
    """Never a traceback."""
    try:
        shown(events(*chunks, TEXT))
    except AskError as error:
        assert "\n" not in str(error)  # noqa: PT017 - an answer is right as well


def test_a_client_key_that_no_header_can_contain_is_refused() -> None:
    """Without quoting it."""
    with pytest.raises(AskError) as caught:
        ServerAnswering(URL, "cl\u00e9", {})
    assert "cl\u00e9" not in str(caught.value)
