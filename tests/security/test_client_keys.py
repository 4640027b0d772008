"""Only clients with a key are answered; their keys reach neither the API nor the log."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from conftest import KEY
from pytest_mock import MockerFixture
from support.waiting import until
from support.wire import Wire, ask, assert_refused, request

from optillm_cerebras_cepo.host.responses import WrongClientKey
from optillm_cerebras_cepo.sidecar import admission

ONE, TWO = "planted-client-key-one", "sk-planted-client-key-two"  # conftest.CLIENT_KEYS
QUESTION = {"messages": [{"role": "user", "content": "What is 6 times 7?"}]}
WRONG: dict[str, str | bytes | None] = {
    "missing": None,
    "empty": "",
    "the scheme alone": "Bearer",
    "the scheme and a space": "Bearer ",
    "no scheme": ONE,
    "another scheme": f"Basic {ONE}",
    "a key in quotes": f'Bearer "{ONE}"',
    "the beginning of one": f"Bearer {ONE[:-1]}",
    "one and more": f"Bearer {ONE}x",
    "both": f"Bearer {ONE},{TWO}",
    "both with a space": f"Bearer {ONE} {TWO}",
    "the scheme twice": f"Bearer Bearer {ONE}",
    "in capitals": f"Bearer {ONE.upper()}",
    "the server's own": f"Bearer {KEY}",
    "Latin-1": b"Bearer \xe4\xf6\xfc",
    "UTF-8": f"Bearer {ONE}é".encode(),
    "look-alikes": f"Bearer {ONE.replace('a', 'а')}".encode(),
    "very long": "Bearer " + "x" * 30_000,
}


@pytest.mark.parametrize("authorization", [f"Bearer {ONE}", f"Bearer {TWO}", f"bearer {ONE}", f"Bearer  {TWO} "])
def test_each_key_is_accepted(locked: Any, authorization: str) -> None:
    """Also one that OptiLLM would send upstream as OpenAI's; the simulated API accepts the server's own key only."""
    assert locked.ask(QUESTION, authorization=authorization).status == 200
    (call,) = locked.trap.api.chat_calls
    assert (call.status, "planted" in f"{call.headers} {call.body}") == (200, False)


@pytest.mark.parametrize("how", WRONG)
def test_other_keys_are_refused(locked: Any, how: str) -> None:
    """All with the same answer, and without a call."""
    assert_refused(locked.ask(QUESTION, authorization=WRONG[how]), 401, "wrong_client_key")
    assert locked.trap.sent == []


@pytest.mark.parametrize("first", [ONE, "wrong"])
def test_two_authorization_headers_are_refused(locked: Any, first: str) -> None:
    """A proxy may have checked the other one."""
    lines = (
        f"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer {first}\r\nauthorization: Bearer {ONE}\r\n\r\n"
    )
    assert_refused(locked.send(lines.encode()), 401, "wrong_client_key")


def test_a_key_with_a_null_byte_is_refused(locked: Any) -> None:
    """It is not cut there, as in C."""
    assert_refused(locked.ask(QUESTION, authorization=f"Bearer {ONE}\0"), 400, "invalid_request")


@pytest.mark.parametrize("where", ["/v1/models", "/metrics", "/v1/models/llama-3.3-70b", "/", "/static/x", "/no-such"])
def test_other_paths_require_a_key(locked: Any, where: str) -> None:
    """Also paths that do not exist."""
    assert_refused(locked.send(request("GET", where)), 401, "wrong_client_key")
    assert locked.send(request("GET", where, authorization=f"Bearer {ONE}")).status in (200, 404)


@pytest.mark.parametrize("where", ["/health", "/ready"])
def test_probes_require_no_key(locked: Any, where: str) -> None:
    """Their replies contain nothing of any request."""
    until(lambda: locked.send(request("GET", "/ready")).status == 200)
    reply = locked.send(request("GET", where))
    assert reply.status == 200
    assert reply.json.keys() <= {"status", "model"}


@pytest.mark.parametrize(
    "end",
    [
        b"content-length: 10000000\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\n",
        b"expect: 100-continue\r\ncontent-length: 9\r\n\r\n",
    ],
    ids=["large", "chunked", "expect"],
)
def test_without_a_key_no_body_is_read(locked: Any, end: bytes) -> None:
    """The answer comes before the body is sent."""
    start = b"POST /v1/chat/completions HTTP/1.1\r\nauthorization: Bearer wrong\r\n"
    with Wire(locked.url) as wire:
        assert_refused(wire.send(start + end).reply(), 401, "wrong_client_key")
        assert wire.rest() == b""


def test_without_client_keys_any_key_is_accepted(plain: Any) -> None:
    """Client libraries always send one. The call has the server's own key, or this API would refuse it."""
    for bearer in ("sk-planted", "csk-planted", "planted"):
        assert plain.ask(QUESTION, authorization=f"Bearer {bearer}").status == 200
        (call,) = plain.trap.api.chat_calls
        assert (call.status, "planted" in f"{call.headers} {call.body}") == (200, False)


def test_no_key_is_in_the_log(locked: Any) -> None:
    """Not even at debug level, where OptiLLM logs each request's key; nor a wrong key."""
    last = None
    for authorization in (f"Bearer {ONE}", f"Bearer {TWO}", "Bearer planted-wrong", "planted-wrong", f"Basic {ONE}"):
        last = locked.ask(QUESTION, authorization=authorization, cookie="planted-cookie", x_api_key="planted-header")
    assert last is not None
    until(lambda: locked.logged(last))
    log = locked.server.log
    assert '"level": "DEBUG"' in log
    assert "6 times 7" in log  # OptiLLM's own words at debug: the operator has asked for them
    assert "planted" not in log
    assert KEY not in log


def test_no_key_is_in_a_reply(locked: Any) -> None:
    """Nor in metrics or the list of models."""
    for path in ("/v1/models", "/metrics", "/ready", "/health"):
        reply = ask(locked.url, request("GET", path, authorization=f"Bearer {TWO}"))
        assert reply.status == 200
        for key in (ONE, TWO, KEY):
            assert key not in f"{reply.headers} {reply.body.decode()}"


@pytest.mark.parametrize("brought", ["one", "two", "three", "four", ""])
def test_all_keys_are_compared_in_constant_time(mocker: MockerFixture, brought: str) -> None:
    """The time does not show which key is close."""
    compare = mocker.spy(hmac, "compare_digest")
    known = admission.ClientKeys(["one", "two", "three"])
    try:
        known.check("/v1/models", f"Bearer {brought}")
    except WrongClientKey:
        assert brought in ("four", "")
    assert compare.call_count == 3
    assert json.dumps([call.args[1].decode() for call in compare.call_args_list]) == '["one", "two", "three"]'
