"""Errors have OpenAI's shape and show neither versions, nor tracebacks, nor file paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from conftest import KEY
from support.http_server import address, serving
from support.wire import HEADERS, Reply, ask, assert_refused, request

from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.sidecar.admission import ClientKeys, RequestSlots
from optillm_cerebras_cepo.sidecar.app import SidecarApp
from optillm_cerebras_cepo.sidecar.readiness import Readiness
from optillm_cerebras_cepo.sidecar.request_record import Metrics

SECRET = f"/usr/lib/planted/{KEY}"
QUESTION = b'{"messages": [{"role": "user", "content": "What is 6 times 7?"}]}'


def answered(inner: Any, slots: int = 1) -> Reply:
    """Return the reply to a chat request of a sidecar around this application."""
    app = SidecarApp(
        inner,
        keys=ClientKeys([]),
        slots=RequestSlots(slots),
        metrics=Metrics(lambda: 0),
        readiness=Readiness(Runtime(), "http://127.0.0.1:9", ["llama3.3-70b"]),
        wanted=["llama3.3-70b"],
        approaches=["cepo_cerebras"],
    )
    with serving(app) as server:
        return ask(address(server), request(body=QUESTION))


def failing(_: dict[str, Any], __: Callable[..., Any]) -> Iterable[bytes]:
    """Fail before the response starts."""
    raise RuntimeError(SECRET)


def failing_late(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Fail after the response has started, before its first byte."""
    start_response("200 OK", [("content-type", "application/json")])
    raise RuntimeError(SECRET)
    yield b""


def answering_wrongly(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Send an invalid header."""
    start_response("200 OK", [("x-planted", f"a\r\nset-cookie: {SECRET}")])
    return [b""]


@pytest.mark.parametrize("inner", [failing, failing_late, answering_wrongly])
def test_a_defect_is_reported_without_its_message(inner: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Only its type, also in the log: the message may quote a prompt or a key."""
    reply = answered(inner)
    assert_refused(reply, 500, None)
    assert "planted" not in reply.body.decode()
    if inner is failing:
        assert "RuntimeError" in caplog.text
        assert SECRET not in "\n".join(record.getMessage() for record in caplog.records)


def test_a_full_server_says_when_to_retry() -> None:
    """It makes no call."""
    reply = answered(failing, slots=0)
    assert_refused(reply, 503, "server_full")
    assert (reply.headers["retry-after"], reply.headers["x-should-retry"]) == ("5", "true")


def test_optillms_errors_have_the_same_shape(loose: Any) -> None:
    """Also in Flask's debug mode, whose pages have a console."""
    for body in (b"{", b"[]", b'{"messages": 5}', b'{"messages": [{"role": "user", "content": "hi"}], "n": 0}'):
        reply = loose.ask(body)
        assert_refused(reply, 400, "invalid_request", reply.json["error"]["param"])
    for path in ("/console", "/?__debugger__=yes&cmd=resource&f=style.css"):
        assert_refused(loose.send(request("GET", path)), 404, "unknown_path")


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/models", "/metrics"])
def test_replies_do_not_show_the_server(plain: Any, path: str) -> None:
    """Neither its name nor its version; the metrics show this package's."""
    reply = plain.send(request("GET", path))
    assert reply.headers.keys() <= HEADERS
    assert b"aitress" not in reply.body
    assert b"ython" not in reply.body


def test_a_stream_has_two_more_headers(plain: Any) -> None:
    """So that proxies do not buffer it."""
    reply = plain.ask(QUESTION[:-1] + b', "stream": true}')
    assert reply.status == 200
    assert reply.headers.keys() <= HEADERS | {"cache-control", "x-accel-buffering"}
    assert reply.body.endswith(b"data: [DONE]\n\n")
