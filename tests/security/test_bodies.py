"""Bodies have limits of memory and time, and a body that is not JSON is refused early."""

from __future__ import annotations

import gc
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.wire import Wire, assert_refused, request
from waitress.adjustments import Adjustments

from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host import routing
from optillm_cerebras_cepo.sidecar.app import CHAT
from optillm_cerebras_cepo.sidecar.parser import SMALL_BODY_BYTES, BodyMemory, RequestParser

MIB = 2**20
LINE = b"POST /v1/chat/completions HTTP/1.1\r\nhost: sidecar\r\ncontent-type: application/json\r\n"


def with_field(value: bytes) -> bytes:
    """Return a chat request with one more field."""
    return b'{"messages": [{"role": "user", "content": "hi"}], "x": ' + value + b"}"


NO_JSON = {
    "nothing": b"",
    "no end": b'{"messages": [{"role": "user", "content": "hi"}]',
    "an end too many": with_field(b"1") + b"}",
    "two bodies": with_field(b"1") * 2,
    "text": b"hello",
    "a form": b"messages=hi",
    "a list": b"[]",
    "a text": b'"messages"',
    "null": b"null",
    "no UTF-8": with_field(b'"\xff\xfe"'),
    "half of a character": with_field(b'"\xc3"'),
    "a character in too many bytes": with_field(b'"\xc0\xaf"'),
    "a surrogate in UTF-8": with_field(b'"\xed\xa0\x80"'),
    "UTF-16": with_field(b"1").decode().encode("utf-16"),
    "UTF-16 without a mark": with_field(b"1").decode().encode("utf-16-le"),
    "UTF-32": with_field(b"1").decode().encode("utf-32"),
    "a null byte": with_field(b'"\0"'),
    "a line end in a text": with_field(b'"\n"'),
    "half a surrogate pair": with_field(b'"\\ud800"'),
    "the other half": with_field(b'"\\udc00 \\ud800"'),
    "half a pair in a name": with_field(b'{"\\ud800": 1}'),
    "NaN": with_field(b"NaN"),
    "infinity": with_field(b"-Infinity"),
    "a number that becomes infinite": with_field(b"1e999"),
    "a number of 5,000 digits": with_field(b"9" * 5000),
    "a hexadecimal number": with_field(b"0x1"),
    "100,000 brackets": b"[" * 100_000,
    "100,000 brackets and their ends": with_field(b"[" * 100_000 + b"]" * 100_000),
    "100,000 objects in each other": b'{"a":' * 100_000,
    "compressed": gzip.compress(with_field(b"1")),
}
BOMBS = {
    "objects": with_field(b"[" + b"{}," * 500_000 + b"{}]"),
    "lists": with_field(b"[" + b"[]," * 500_000 + b"[]]"),
    "numbers": with_field(b"[" + b"0.1," * 500_000 + b"1]"),
    "texts": with_field(b"[" + b'"",' * 500_000 + b'""]'),
    "names": with_field(b"{" + b",".join(b'"%d":1' % number for number in range(200_000)) + b"}"),
    "messages": b'{"messages": [' + b",".join([b'{"role": "user", "content": "hi"}'] * 100_000) + b"]}",
}


@pytest.mark.parametrize("how", NO_JSON)
def test_invalid_json_is_refused(plain: Any, how: str) -> None:
    """Without a call, and before OptiLLM reads it."""
    assert_refused(plain.ask(NO_JSON[how]), 400, "invalid_request")
    assert plain.trap.sent == []


@pytest.mark.parametrize("how", BOMBS)
def test_a_body_of_many_small_values_is_refused(plain: Any, how: str) -> None:
    """Parsed, it would take fifty times its size; the values are counted before."""
    reply = plain.ask(BOMBS[how])
    assert_refused(reply, 400, "invalid_request")
    assert "values" in reply.json["error"]["message"]
    assert plain.trap.sent == []


@pytest.mark.parametrize("depth", [10, 300, 900])
@pytest.mark.parametrize(
    "around",
    [
        b'{"messages": [{"role": "user", "content": "hi"}], "tools": %s}',
        b'{"messages": [{"role": "user", "content": %s}]}',
        b'{"messages": [{"role": "user", "content": [{"type": "text", "text": %s}]}]}',
        b'{"messages": %s}',
        b'{"messages": [{"role": "user", "content": "hi"}], "model": %s}',
        b'{"messages": [{"role": "user", "content": "hi"}], "optillm_approach": %s}',
        b'{"messages": [{"role": "user", "content": "hi"}], "logit_bias": %s}',
        b'{"messages": [{"role": "user", "content": "hi"}], "response_format": %s}',
        b'{"messages": [{"role": "user", "content": "hi"}], "stream_options": %s}',
        b'{"messages": [{"role": "user", "content": "hi"}], "cepo_cerebras_bestofn_n": %s}',
    ],
    ids=lambda around: around.decode()[1:].replace(" ", "")[-40:],
)
def test_nested_values_are_refused(plain: Any, around: bytes, depth: int) -> None:
    """In a field of another type."""
    reply = plain.ask(around % (b"[" * depth + b"]" * depth))
    assert reply.status == 400, reply
    assert reply.code == "invalid_request"
    assert plain.trap.sent == []


def test_any_text_is_passed_on_unchanged(plain: Any) -> None:
    """Brackets and quotes in a message are text, even 100,000 of them."""
    for text in (
        "\0 \x1b[31m \x7f \u200b \u202e \ufeff \uffff 🧨 é é ＜",
        '"]}, "optillm_approach": "executecode", {["' * 10_000,
        "[{,:" * 100_000,
        "\\" * 100_001 + '"',
    ):
        assert plain.ask({"messages": [{"role": "user", "content": text}]}).status in (200, 400)
        assert plain.trap.sent[0]["messages"][-1]["content"] == text


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json, text/plain",
        "application/jsonp",
        "application/octet-stream",
        "",
        None,
    ],
)
def test_other_content_types_are_refused(plain: Any, kind: str | None) -> None:
    """Browsers send the first ones across sites without a preflight request."""
    assert_refused(plain.ask(with_field(b"1"), content_type=kind), 400, "invalid_request")
    assert plain.trap.sent == []


def test_a_compressed_body_is_not_decompressed(plain: Any) -> None:
    """Whatever its headers say."""
    packed = gzip.compress(with_field(b'"' + b"a" * MIB + b'"'))
    assert_refused(plain.ask(packed, content_encoding="gzip"), 400, "invalid_request")


def test_a_too_large_body_is_refused_before_it_is_read(plain: Any) -> None:
    """By its Content-Length; the limit is 16 MiB."""
    with Wire(plain.url) as wire:
        wire.send(LINE + b"content-length: %d\r\n\r\n" % (16 * MIB + 1))
        assert_refused(wire.reply(), 413, "request_too_large")
        assert wire.rest() == b""


def test_the_limit_of_a_body_is_exact(loose: Any) -> None:
    """To the byte; --max-body sets it."""
    for size, status in ((MIB // 4, 400), (MIB // 4 + 1, 413)):
        assert loose.ask(b" " * size).status == status


def test_a_too_large_chunked_body_is_refused(loose: Any) -> None:
    """While it arrives, as its size is unknown and its last chunk may never come."""
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with Wire(loose.url) as wire:
        wire.send(LINE + b"transfer-encoding: chunked\r\n\r\n" + chunk * 5)
        assert_refused(wire.reply(), 413, "request_too_large")


@pytest.mark.parametrize(
    "headers",
    [b"x-a: " + b"a" * 33_000, b"a:b\r\n" * 7_000, b"x-a: " + b"a" * 33_000 + b"\r\n\r\n", b"a" * 33_000],
    ids=["one that does not end", "many", "one", "a name"],
)
def test_too_large_headers_are_refused(plain: Any, headers: bytes) -> None:
    """The limit is 32 KiB."""
    with Wire(plain.url) as wire:
        assert_refused(wire.send(b"GET /health HTTP/1.1\r\n" + headers).reply(), 431, "headers_too_large")


def test_a_too_long_path_is_refused(plain: Any) -> None:
    """It counts as part of the headers."""
    assert_refused(plain.send(request("GET", "/" + "a" * 33_000)), 431, "headers_too_large")


def test_no_body_is_written_to_disk(plain: Any) -> None:
    """An incomplete body is in memory: the process has no deleted file open."""
    with Wire(plain.url) as wire:
        wire.send(LINE + b"content-length: %d\r\n\r\n" % (4 * MIB) + b"a" * (4 * MIB - 1))
        assert plain.send(request("GET", "/health")).status == 200
        standard = ("0", "1", "2")  # which the tests give it
        opened = [path for path in Path(f"/proc/{plain.server.pid}/fd").iterdir() if path.name not in standard]
        files = [str(path.readlink()) for path in opened if path.is_symlink()]
        assert not [file for file in files if "deleted" in file]
        assert_refused(wire.send(b"a").reply(), 400, "invalid_request")


def parser(memory: BodyMemory) -> RequestParser:
    """Return a parser of a server that wants every body."""
    return RequestParser(Adjustments(max_request_body_size=MIB, inbuf_overflow=MIB), lambda _: True, memory)


def test_all_bodies_together_have_a_limit() -> None:
    """A body beyond it is refused and releases its memory; so does an answered or dropped request."""
    memory = BodyMemory(100)
    first, second, third, small = (parser(memory) for _ in range(4))
    for one in (first, second, third):
        one.received(LINE + b"content-length: %d\r\n\r\n" % (SMALL_BODY_BYTES + 60))
        assert one.received(b"a" * SMALL_BODY_BYTES) == SMALL_BODY_BYTES
    assert first.received(b"a" * 60) == 60
    assert (first.completed, first.error) == (True, None)
    second.received(b"a" * 59)
    assert (second.completed, second.error.code, second.body_rcv) == (True, 503, None)
    third.received(b"a" * 40)
    small.received(LINE + b"content-length: 3\r\n\r\n")
    assert small.received(b"abc") == 3
    assert (third.error, small.error) == (None, None)
    assert not memory.acquire(1)
    memory.release(1)
    del third, one
    gc.collect()
    for _ in range(2):
        first.close()
        second.close()
    assert memory.acquire(100)
    assert not memory.acquire(1)


def test_only_bodies_of_chat_requests_are_read(plain: Any) -> None:
    """A large one on another path is answered at once."""
    for path, status in (("/health", 405), ("/metrics", 405), ("/x", 404)):
        with Wire(plain.url) as wire:
            wire.send(LINE.replace(CHAT.encode(), path.encode()) + b"content-length: 1000000\r\n\r\n")
            assert wire.reply().status == status


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(['"', "\\", '\\"', "[,:{", "é"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=5),
    max_leaves=30,
)


def marks(value: object) -> int:
    """Return how many brackets, colons and commas the JSON of a value has outside of strings."""
    if isinstance(value, dict):
        return 1 + len(value) + max(0, len(value) - 1) + sum(map(marks, value.values()))
    if isinstance(value, list):
        return 1 + max(0, len(value) - 1) + sum(map(marks, value))
    return 0


@settings(max_examples=150, deadline=None)
@given(JSON, st.booleans(), st.integers(0, 40))
def test_values_are_counted_correctly(value: object, ascii_only: bool, most: int) -> None:
    """Whatever the strings among them contain."""
    data = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "replace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routing, "UNCOUNTED", 0)
        patch.setattr(routing, "MAX_VALUES", most)
        refused = False
        try:
            routing._check_values(data)
        except BadRequest:
            refused = True
    texts = data.replace(b"\\\\", b"").replace(b'\\"', b"").count(b'"') // 2
    assert refused == (marks(value) > most or texts > most)
