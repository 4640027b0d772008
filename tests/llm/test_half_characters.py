"""Halves of surrogate pairs in a reply: JSON can write them, and nothing can send them on."""

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

from optillm_cerebras_cepo.chat import Message
from optillm_cerebras_cepo.errors import UnwritableCall
from optillm_cerebras_cepo.llm.assembly import Assembly, mended
from optillm_cerebras_cepo.llm.meter import Ledger, Meter, Spent

ANY = st.text(st.characters() | st.characters(min_codepoint=0xD800, max_codepoint=0xDFFF))
HALF = "half \ud83d of a pair, and \ud83d\ude00 whole"
WHOLE = "half \ufffd of a pair, and \U0001f600 whole"


@given(ANY)
def test_a_text_is_mended_and_changed_nowhere_else(text: str) -> None:
    """It can be sent; what could be sent before is as it was."""
    try:
        text.encode()
    except UnicodeEncodeError:
        assert "\ufffd" in mended(text) or len(mended(text)) < len(text)
        mended(text).encode()
    else:
        assert mended(text) == text


@given(ANY, st.lists(st.integers(1, 5), max_size=20))
def test_a_streamed_text_is_the_whole_text_however_it_is_cut(text: str, cuts: list[int]) -> None:
    """Also between the halves of a pair."""
    reply, heard = Assembly("m"), list[Mapping[str, Any]]()
    rest = text
    for cut in cuts:
        heard.append(reply.add({"choices": [{"delta": {"content": rest[:cut]}}]}))
        rest = rest[cut:]
    heard.append(reply.add({"choices": [{"delta": {"content": rest}}]}))
    heard.append(reply.rest())
    assert "".join(str(delta.get("content", "")) for delta in heard) == reply.completion().text == mended(text)


@pytest.mark.parametrize("stream", [False, True])
def test_a_half_in_a_reply_is_replaced_when_it_is_read(stream: bool) -> None:
    """In the text, the reasoning and a tool call's arguments; the next prompt can hold what was read."""
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


def test_a_call_that_cannot_be_written_never_left() -> None:
    """It is no fault of the network, is not tried again, and nobody counts it."""
    ledger, asked = Ledger(), list[web.Request]()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        return web.json_response({})

    with background({("POST", "/v1/chat/completions"): answer}) as url, pytest.raises(UnwritableCall) as caught:
        Meter(connect(url), ledger).complete(request(messages=(Message("user", HALF),)))
    assert not caught.value.transient
    assert (ledger.total, asked) == (Spent(), [])
