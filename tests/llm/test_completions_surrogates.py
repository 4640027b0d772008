"""Halves of surrogate pairs in a reply: JSON can contain them, but they cannot be sent on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from support.gateway import background
from support.sdk_client import connect, request

from optillm_cerebras_cepo.core.chat import Message
from optillm_cerebras_cepo.core.errors import UnwritableCall
from optillm_cerebras_cepo.llm.completions import StreamAssembler, repaired
from optillm_cerebras_cepo.llm.metering import Ledger, UsageMeter, UsageTotals

ANY = st.text(st.characters() | st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF))
HALF = "half \ud83d of a pair, and \ud83d\ude00 whole"
WHOLE = "half \ufffd of a pair, and \U0001f600 whole"


@given(ANY)
def test_only_halves_are_replaced(text: str) -> None:
    """The result can be encoded; a text without halves is unchanged."""
    try:
        text.encode()
    except UnicodeEncodeError:
        assert "\ufffd" in repaired(text) or len(repaired(text)) < len(text)
        repaired(text).encode()
    else:
        assert repaired(text) == text


@given(ANY, st.lists(st.integers(1, 5), max_size=20))
def test_stream_gives_the_whole_text_wherever_it_is_split(text: str, cuts: list[int]) -> None:
    """Also between the halves of a pair."""
    reply, heard = StreamAssembler("m"), list[Mapping[str, Any]]()
    rest = text
    for cut in cuts:
        heard.append(reply.add({"choices": [{"delta": {"content": rest[:cut]}}]}))
        rest = rest[cut:]
    heard.append(reply.add({"choices": [{"delta": {"content": rest}}]}))
    heard.append(reply.end())
    assert "".join(str(delta.get("content", "")) for delta in heard) == reply.completion().text == repaired(text)


@pytest.mark.parametrize("stream", [False, True])
def test_halves_in_a_reply_are_replaced(stream: bool) -> None:
    """In text, reasoning and tool arguments, so that the next prompt can contain them."""
    message = {
        "content": HALF,
        "reasoning": HALF,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": HALF}}],
    }

    async def answer(_: web.Request) -> web.Response:
        if not stream:
            return web.json_response({"choices": [{"message": message, "finish_reason": "stop"}]})
        chunks = [{"choices": [{"delta": message}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}]
        lines = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
        return web.Response(text=lines, content_type="text/event-stream")

    heard = list[Mapping[str, Any]]()
    with background({("POST", "/v1/chat/completions"): answer}) as url:
        reply = connect(url).complete(request(listener=heard.append if stream else None))
    assert (reply.text, reply.reasoning) == (WHOLE, WHOLE)
    assert reply.tool_calls[0]["function"]["arguments"] == WHOLE
    assert not stream or heard[0]["content"] == WHOLE


def test_call_that_cannot_be_written_is_not_sent() -> None:
    """It is not a network error, is not retried and is not counted."""
    ledger, asked = Ledger(), list[web.Request]()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        return web.json_response({})

    with background({("POST", "/v1/chat/completions"): answer}) as url, pytest.raises(UnwritableCall) as caught:
        UsageMeter(connect(url), ledger).complete(request(messages=(Message("user", HALF),)))
    assert not caught.value.retryable
    assert (ledger.total, asked) == (UsageTotals(), [])
