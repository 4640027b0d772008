"""A page in somebody's browser asks nothing in their name, and reads nothing."""

from __future__ import annotations

from typing import Any

import pytest
from support.wire import assert_refused, request

QUESTION = b'{"messages": [{"role": "user", "content": "What is 6 times 7?"}]}'
KEY = "planted-client-key-one"  # one of conftest.CLIENT_KEYS
ORIGINS = ["https://evil.example", "http://127.0.0.1:8080", "http://localhost:3000", "null", "file://", ""]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_without_clients_keys_no_page_is_answered(plain: Any, origin: str, kind: str) -> None:
    """A browser names the page's origin with each such request, also that of a page at a name that leads here."""
    reply = plain.ask(QUESTION, origin=origin, content_type=kind)
    assert_refused(reply, 403, "origin_refused")
    assert plain.trap.sent == []


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/no-such"])
def test_nor_is_what_it_may_read_elsewhere(plain: Any, path: str) -> None:
    """Lists and figures."""
    assert_refused(plain.send(request("GET", path, origin="https://evil.example")), 403, "origin_refused")


def test_with_a_key_the_key_decides(locked: Any) -> None:
    """A browser has none to send by itself; a reply has nothing that would let a page of another site read it."""
    reply = locked.ask(QUESTION, origin="https://ui.example", authorization=f"Bearer {KEY}")
    assert reply.status == 200
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert_refused(locked.ask(QUESTION, origin="https://ui.example"), 401, "wrong_client_key")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/health"])
def test_nobody_is_told_that_a_page_may(plain: Any, locked: Any, path: str) -> None:
    """What browsers ask before a request of another site is refused, with a key and without."""
    asked: dict[str, Any] = {"origin": "https://evil.example", "access_control_request_method": "POST"}
    reply = plain.send(request("OPTIONS", path, **asked))
    assert_refused(reply, *((405, "wrong_method") if path == "/health" else (403, "origin_refused")))
    reply = locked.send(request("OPTIONS", path, **asked, authorization=f"Bearer {KEY}"))
    assert_refused(reply, 405, "wrong_method")


def test_a_probe_is_answered_whoever_asks(plain: Any) -> None:
    """And tells a page nothing: it cannot read the reply."""
    reply = plain.send(request("GET", "/health", origin="https://evil.example"))
    assert reply.status == 200
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_no_cookie_is_set_or_asked_for(plain: Any, locked: Any) -> None:
    """There is nothing that a browser would send by itself."""
    reply = plain.ask(QUESTION, cookie="session=1")
    assert (reply.status, "set-cookie" in reply.headers) == (200, False)
    reply = locked.ask(QUESTION, cookie=f"Authorization=Bearer {KEY}")
    assert_refused(reply, 401, "wrong_client_key")
    assert "www-authenticate" not in reply.headers
