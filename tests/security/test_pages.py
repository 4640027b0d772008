"""What goes wrong is told in OpenAI's form, and nothing beside: no version, no trace, no path of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from conftest import KEY
from support.http_server import address, serving
from support.wire import HEADERS, Reply, ask, assert_refused, request

from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.sidecar.admission import Admission
from optillm_cerebras_cepo.sidecar.entrance import Entrance
from optillm_cerebras_cepo.sidecar.keys import ClientKeys
from optillm_cerebras_cepo.sidecar.metrics import Metrics
from optillm_cerebras_cepo.sidecar.readiness import Readiness

SECRET = f"/usr/lib/planted/{KEY}"
QUESTION = b'{"messages": [{"role": "user", "content": "What is 6 times 7?"}]}'


def answered(inner: Any, places: int = 1) -> Reply:
    """What a sidecar around this application says to a question."""
    entrance = Entrance(
        inner,
        keys=ClientKeys([]),
        admission=Admission(places),
        metrics=Metrics(lambda: 0),
        readiness=Readiness(Runtime(), "http://127.0.0.1:9", ["llama3.3-70b"]),
        wanted=["llama3.3-70b"],
        approaches=["cepo_cerebras"],
    )
    with serving(entrance) as server:
        return ask(address(server), request(body=QUESTION))


def failing(_: dict[str, Any], __: Callable[..., Any]) -> Iterable[bytes]:
    """Fails before it says anything."""
    raise RuntimeError(SECRET)


def failing_late(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
    """Fails when its answer is read, before the first byte of it."""
    start_response("200 OK", [("content-type", "application/json")])
    raise RuntimeError(SECRET)
    yield b""


def answering_wrongly(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Sends a header that no response may have."""
    start_response("200 OK", [("x-planted", f"a\r\nset-cookie: {SECRET}")])
    return [b""]


@pytest.mark.parametrize("inner", [failing, failing_late, answering_wrongly])
def test_a_defect_is_told_without_its_words(inner: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Only its kind, for whoever reads the log as well: its words may quote a question or a key."""
    reply = answered(inner)
    assert_refused(reply, 500, None)
    assert "planted" not in reply.body.decode()
    if inner is failing:
        assert "RuntimeError" in caplog.text
        assert SECRET not in "\n".join(record.getMessage() for record in caplog.records)


def test_a_server_without_places_says_when_to_come_again() -> None:
    """And makes no call for it."""
    reply = answered(failing, places=0)
    assert_refused(reply, 503, "server_full")
    assert (reply.headers["retry-after"], reply.headers["x-should-retry"]) == ("5", "true")


def test_what_optillm_says_has_the_same_form(loose: Any) -> None:
    """Also in Flask's debug mode, which it does not leave as a page with a console."""
    for body in (b"{", b"[]", b'{"messages": 5}', b'{"messages": [{"role": "user", "content": "hi"}], "n": 0}'):
        reply = loose.ask(body)
        assert_refused(reply, 400, "invalid_request", reply.json["error"]["param"])
    for path in ("/console", "/?__debugger__=yes&cmd=resource&f=style.css"):
        assert_refused(loose.send(request("GET", path)), 404, "unknown_path")


@pytest.mark.parametrize("path", ["/health", "/ready", "/v1/models", "/metrics"])
def test_good_answers_tell_nothing_either(plain: Any, path: str) -> None:
    """No server's name or version; that of this package stands among the figures, which want a key if there is one."""
    reply = plain.send(request("GET", path))
    assert reply.headers.keys() <= HEADERS
    assert b"aitress" not in reply.body
    assert b"ython" not in reply.body


def test_a_stream_has_two_headers_more(plain: Any) -> None:
    """Against proxies that keep it back."""
    reply = plain.ask(QUESTION[:-1] + b', "stream": true}')
    assert reply.status == 200
    assert reply.headers.keys() <= HEADERS | {"cache-control", "x-accel-buffering"}
    assert reply.body.endswith(b"data: [DONE]\n\n")
