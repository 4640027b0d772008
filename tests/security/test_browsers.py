"""A web page can neither send requests in its visitor's name nor read anything."""

from __future__ import annotations

from typing import Any

import pytest
from support.wire import assert_refused, request

QUESTION = b'{"messages": [{"role": "user", "content": "What is 6 times 7?"}]}'
KEY = "planted-client-key-one"  # one of conftest.CLIENT_KEYS
ORIGINS = ["https://evil.example", "http://127.0.0.1:8080", "http://localhost:3000", "null", "file://", ""]


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_browser_requests_without_client_keys_are_refused(plain: Any, origin: str, kind: str) -> None:
    """Browsers send the Origin header, also after DNS rebinding."""
    reply = plain.ask(QUESTION, origin=origin, content_type=kind)
    assert_refused(reply, 403, "origin_refused")
    assert plain.trap.sent == []


@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/no-such"])
def test_browser_requests_for_other_paths_are_refused(plain: Any, path: str) -> None:
    """Models and metrics."""
    assert_refused(plain.send(request("GET", path, origin="https://evil.example")), 403, "origin_refused")


def test_with_client_keys_the_key_decides(locked: Any) -> None:
    """A browser does not add the key by itself, and no CORS header lets another site read the reply."""
    reply = locked.ask(QUESTION, origin="https://ui.example", authorization=f"Bearer {KEY}")
    assert reply.status == 200
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert_refused(locked.ask(QUESTION, origin="https://ui.example"), 401, "wrong_client_key")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/health"])
def test_preflight_requests_are_refused(plain: Any, locked: Any, path: str) -> None:
    """With client keys and without."""
    asked: dict[str, Any] = {"origin": "https://evil.example", "access_control_request_method": "POST"}
    reply = plain.send(request("OPTIONS", path, **asked))
    assert_refused(reply, *((405, "wrong_method") if path == "/health" else (403, "origin_refused")))
    reply = locked.send(request("OPTIONS", path, **asked, authorization=f"Bearer {KEY}"))
    assert_refused(reply, 405, "wrong_method")


def test_probes_are_answered_with_an_origin(plain: Any) -> None:
    """Without a CORS header, so the page cannot read the reply."""
    reply = plain.send(request("GET", "/health", origin="https://evil.example"))
    assert reply.status == 200
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_no_cookie_is_set_or_used(plain: Any, locked: Any) -> None:
    """A browser would send it by itself."""
    reply = plain.ask(QUESTION, cookie="session=1")
    assert (reply.status, "set-cookie" in reply.headers) == (200, False)
    reply = locked.ask(QUESTION, cookie=f"Authorization=Bearer {KEY}")
    assert_refused(reply, 401, "wrong_client_key")
    assert "www-authenticate" not in reply.headers
