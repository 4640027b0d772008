"""No request can be smuggled in behind another: where one ends is never ambiguous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.wire import Wire, assert_refused, request
from waitress.adjustments import Adjustments

from optillm_cerebras_cepo.sidecar.parser import BodyMemory, RequestParser

HIDDEN = b"GET /v1/models HTTP/1.1\r\nhost: hidden\r\n\r\n"  # that is answered with 200 if anybody reads it
LINE = b"POST /v1/chat/completions HTTP/1.1\r\nhost: sidecar\r\ncontent-type: application/json\r\n"

NO_HTTP = {
    "empty lines": b"\r\n\r\n",
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/2.0": b"GET /health HTTP/2.0\r\n\r\n",
    "HTTP/9.9": b"GET /health HTTP/9.9\r\n\r\n",
    "HTTP/1.2": b"GET /health HTTP/1.2\r\n\r\n",
    "HTTP/11": b"GET /health HTTP/11\r\n\r\n",
    "HTTP/1.1.1": b"GET /health HTTP/1.1.1\r\n\r\n",
    "the beginning of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "the beginning of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a method in small letters": b"get /health HTTP/1.1\r\n\r\n",
    "no method": b" /health HTTP/1.1\r\n\r\n",
    "two spaces": b"GET  /health HTTP/1.1\r\n\r\n",
    "a space in the address": b"GET /health /ready HTTP/1.1\r\n\r\n",
    "a host that is none": b"GET http://[::1/health HTTP/1.1\r\n\r\n",
    "bytes that are no text in the address": b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
    "no colon": b"GET /health HTTP/1.1\r\nhost\r\n\r\n",
    "a header without a name": b"GET /health HTTP/1.1\r\n: x\r\n\r\n",
    "a space before the colon": b"GET /health HTTP/1.1\r\nhost : x\r\n\r\n",
    "a header over two lines": b"GET /health HTTP/1.1\r\nx-a: a\r\n b\r\n\r\n",
    "a first header that goes on": b"GET /health HTTP/1.1\r\n x-a: a\r\n\r\n",
    "a line end alone": b"GET /health HTTP/1.1\r\nx-a: a\nx-b: b\r\n\r\n",
    "a carriage return alone": b"GET /health HTTP/1.1\r\nx-a: a\rx-b: b\r\n\r\n",
    "a null": b"GET /health HTTP/1.1\r\nx-a: a\0b\r\n\r\n",
    "a backspace": b"GET /health HTTP/1.1\r\nx-a: a\x08b\r\n\r\n",
}
TWO_WAYS = {
    "length and chunks": b"content-length: 44\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"transfer-encoding: chunked\r\ncontent-length: 44\r\n\r\n0\r\n\r\n",
    "two lengths": b"content-length: 0\r\ncontent-length: 44\r\n\r\n",
    "the same length twice": b"content-length: 0\r\ncontent-length: 0\r\n\r\n",
    "two lengths in one": b"content-length: 0, 44\r\n\r\n",
    "a length with a sign": b"content-length: +0\r\n\r\n",
    "a negative length": b"content-length: -1\r\n\r\n",
    "a length with a space": b"content-length: 0 0\r\n\r\n",
    "a length with an underscore": b"content-length: 0_0\r\n\r\n",
    "a hexadecimal length": b"content-length: 0x0\r\n\r\n",
    "no length": b"content-length: \r\n\r\n",
    "a length in other digits": "content-length: ٠\r\n\r\n".encode(),
    "a length of 5,000 digits": b"content-length: " + b"9" * 5000 + b"\r\n\r\n",
    "a length on the next line": b"content-length:\r\n 0\r\n\r\n",
    "chunks on the next line": b"transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "chunks, with a space before the colon": b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
    "chunks, with a tab within": b"transfer-encoding: chun\tked\r\n\r\n0\r\n\r\n",
    "chunks, in quotes": b'transfer-encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "chunks of chunks": b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks twice": b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and something else": b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
    "compressed chunks": b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "no chunks": b"transfer-encoding: identity\r\n\r\n",
    "chunks and a vertical tab": b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks that are none": b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
}
NO_CHUNKS = {
    "no size": b"\r\n{}\r\n0\r\n\r\n",
    "a size that is none": b"x\r\n{}\r\n0\r\n\r\n",
    "a size with a sign": b"+2\r\n{}\r\n0\r\n\r\n",
    "a negative size": b"-2\r\n{}\r\n0\r\n\r\n",
    "a hexadecimal size": b"0x2\r\n{}\r\n0\r\n\r\n",
    "a size with a space": b"2 \r\n{}\r\n0\r\n\r\n",
    "a size too small": b"1\r\n{}\r\n0\r\n\r\n",
    "a size too large": b"ffffffffffffffffffff\r\n" + b"{" * 2**18,
    "an endless size": b"0" * 20_000,
    "an endless extension": b"2;" + b"a" * 20_000,
    "an endless trailer": b"2\r\n{}\r\n0\r\nx: " + b"a" * 20_000,
    "an extension that is none": b"2;\0\r\n{}\r\n0\r\n\r\n",
}


def assert_last(wire: Wire, status: int, code: str | None) -> None:
    """Assert that the request was refused as invalid HTTP, and that nothing after it was read."""
    reply = wire.reply("POST")
    assert_refused(reply, status, code)
    assert ("not a valid HTTP request" in reply.json["error"]["message"]) == (status == 400)
    assert wire.rest() == b""


@pytest.mark.parametrize("how", NO_HTTP)
def test_invalid_http_is_refused(plain: Any, how: str) -> None:
    """And the connection is closed."""
    with Wire(plain.url) as wire:
        assert_last(wire.send(NO_HTTP[how] + HIDDEN), 400, "invalid_request")


@pytest.mark.parametrize("how", TWO_WAYS)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_an_ambiguous_body_length_is_refused(plain: Any, how: str, version: bytes) -> None:
    """A proxy might see another end."""
    with Wire(plain.url) as wire:
        assert_last(wire.send(LINE.replace(b"1.1", version, 1) + TWO_WAYS[how] + HIDDEN), 400, "invalid_request")


@pytest.mark.parametrize("how", NO_CHUNKS)
def test_invalid_chunks_are_refused(loose: Any, how: str) -> None:
    """Wrong sizes, and lines without end."""
    status, code = (413, "request_too_large") if how == "a size too large" else (400, "invalid_request")
    with Wire(loose.url) as wire:
        assert_last(wire.send(LINE + b"transfer-encoding: chunked\r\n\r\n" + NO_CHUNKS[how]), status, code)


@pytest.mark.parametrize("size", [b"2", b"0002", b"2\n", b"2;a=b", b'2;a="b;c"'])
def test_nothing_is_read_after_a_chunked_body(plain: Any, size: bytes) -> None:
    """Other parsers may see another end, so the connection is closed."""
    chunks = size + b"\r\n{}\r\n0\r\nx-trailer: x\r\ncontent-length: 0\r\n\r\n"
    with Wire(plain.url) as wire:
        assert_last_of_chunks(wire.send(LINE + b"transfer-encoding: chunked\r\n\r\n" + chunks + HIDDEN))


def assert_last_of_chunks(wire: Wire) -> None:
    """Assert that the body was `{}`, which has no messages, and that nothing after it was read."""
    assert_refused(wire.reply("POST"), 400, "invalid_request", "messages")
    assert wire.rest() == b""


def test_underscores_in_header_names_are_not_dashes(plain: Any) -> None:
    """WSGI would not distinguish them."""
    body = b'{"messages": [{"role": "user", "content": "hi"}]}'
    reply = plain.send(
        LINE
        + b"transfer_encoding: chunked\r\ncontent_length: 3\r\nx_request_id: mine\r\ncontent-length: %d\r\n\r\n"
        % len(body)
        + body
    )
    assert (reply.status, reply.headers["x-request-id"] == "mine") == (200, False)


def test_pipelined_requests_are_answered_in_order(plain: Any) -> None:
    """None is answered after an invalid one."""
    with Wire(plain.url) as wire:
        wire.send(b"".join(request("GET", "/health", x_request_id=str(number)) for number in range(200)))
        for number in range(200):
            assert wire.reply().headers["x-request-id"] == str(number)
        wire.send(request("GET", "/health") + NO_HTTP["HTTP/9.9"] + HIDDEN)
        assert wire.reply().status == 200
        assert_last(wire, 400, "invalid_request")


def test_expect_100_continue(plain: Any) -> None:
    """100 for a body that will be read, otherwise the final answer at once."""
    body = b'{"messages": [{"role": "user", "content": "hi"}]}'
    with Wire(plain.url) as wire:
        wire.send(LINE + b"expect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body))
        assert wire.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert wire.send(body).reply("POST").status == 200
        assert wire.send(request("GET", "/health", expect="100-continue")).reply().status == 200
        wire.send(LINE + b"expect: 100-continue\r\ncontent-length: 99999999\r\n\r\n")
        assert_last(wire, 413, "request_too_large")


def test_upgrade_is_ignored(plain: Any) -> None:
    """The reply has no Upgrade header."""
    reply = plain.send(request("GET", "/health", connection="upgrade", upgrade="h2c"))
    assert (reply.status, "upgrade" in reply.headers) == (200, False)


RAW = [
    *NO_HTTP.values(),
    *(LINE + end for end in TWO_WAYS.values()),
    *(LINE + b"transfer-encoding: chunked\r\n\r\n" + end for end in NO_CHUNKS.values() if len(end) < 1000),
    LINE + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    request(body=b'{"messages": []}'),
    request("GET", "/health"),
]


def parsed(pieces: list[bytes]) -> tuple[Any, ...]:
    """Parse a request that arrives in these pieces; return the result."""

    def wants_body(_: Mapping[str, Any]) -> bool:
        return True

    parser = RequestParser(Adjustments(max_request_body_size=1000), wants_body, BodyMemory(10_000))
    for piece in pieces:
        while piece and not parser.completed:
            piece = piece[parser.received(piece) :]
    body = parser.get_body_stream().read() if parser.completed and not parser.error else None
    return parser.completed, parser.error and parser.error.code, parser.environ(), body


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(RAW), st.data())
def test_the_result_does_not_depend_on_the_pieces(raw: bytes, data: Any) -> None:
    """Byte by byte or all at once."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=6)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert parsed([piece for piece in pieces if piece]) == parsed([raw])
