"""Six paths are served, each with its methods; every other path is 404."""

from __future__ import annotations

from typing import Any

import pytest
from support.wire import assert_refused, request

NOTHING = [
    "/",
    "/v1",
    "/v1/",
    "/v1/chat/completions/",
    "/v1//chat/completions",
    "/v1/v1",
    "/v1/v1/health",
    "/v1/v1/v1/chat/completions",
    "/v1/./chat/completions",
    "/v1/x/../chat/completions",
    "/v1/%2e%2e/metrics",
    "/v1/..%2fmetrics",
    "/v1/models/../../metrics",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/..\\..\\etc\\passwd",
    "/static/",
    "/static/../../../../etc/passwd",
    "/static/%2e%2e/server.py",
    "/etc/passwd",
    "/health/",
    "/health;x",
    "/health%00",
    "/HEALTH",
    "/metrics%0a",
    "/console",
    "/?__debugger__=yes&cmd=resource&f=debugger.js",
    "/v1/completions",
    "/favicon.ico",
    "/\x7f",
    "/{{7*7}}",
    "*",
    "health",
    "javascript:alert(1)",
    "/" + "a" * 30_000,
]


@pytest.mark.parametrize("path", NOTHING, ids=lambda path: path[:40])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_other_paths_are_not_found(plain: Any, method: str, path: str) -> None:
    """No redirect, no file, no Flask debugger."""
    status, code, param = (404, "unknown_path", None)
    if path == "/v1/models/../../metrics":
        status, code, param = (404, "model_not_found", "model") if method == "GET" else (405, "wrong_method", None)
    assert_refused(plain.send(request(method, path)), status, code, param)


@pytest.mark.parametrize(
    "path", ["/health", "//health", "///health", "/health?x=/../metrics", "http://evil.example/health"]
)
def test_spellings_of_one_path(plain: Any, path: str) -> None:
    """Extra slashes, a query or another host do not change the path."""
    reply = plain.send(request("GET", path, host="evil.example"))
    assert (reply.status, reply.body.strip()) == (200, b'{"status":"ok"}')
    assert "evil" not in f"{reply.headers}"


@pytest.mark.parametrize(
    "path",
    [
        "//v1/chat/completions",
        "/v1/v1/chat/completions",
        "http://evil.example/v1/chat/completions",
        "/v1/chat%2fcompletions",
    ],
)
def test_spellings_of_the_chat_path(plain: Any, path: str) -> None:
    """Each gets the checks of a chat request."""
    reply = plain.send(request("POST", path, body=b'{"messages": [], "optillm_approach": "executecode"}'))
    assert_refused(reply, 400, "invalid_request", "optillm_approach")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/v1/models",
        "/v1/models/llama-3.3-70b",
        "/v1/tcp_warming",
        "/health",
        "/ready",
        "/metrics",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "X-Y!#$%"])
def test_other_methods_are_not_allowed(plain: Any, path: str, method: str) -> None:
    """The Allow header lists the methods; neither OptiLLM nor Flask answers."""
    allowed = ("POST",) if path == "/v1/chat/completions" else ("GET", "HEAD")
    reply = plain.send(request(method, path))
    if method in allowed:
        assert reply.status in (200, 400, 503)
    else:
        assert_refused(reply, 405, "wrong_method")
        assert reply.headers["allow"] == ", ".join(allowed)


@pytest.mark.parametrize("header", ["x_http_method_override", "x_method_override", "x_original_url", "x_rewrite_url"])
def test_headers_do_not_change_method_or_path(plain: Any, header: str) -> None:
    """Some frameworks support such headers."""
    method: dict[str, Any] = {header: "POST"}
    address: dict[str, Any] = {header: "/metrics"}
    assert_refused(plain.send(request("GET", "/v1/chat/completions", **method)), 405, "wrong_method")
    assert_refused(plain.send(request("GET", "/x", **address)), 404, "unknown_path")
