"""How responses are sent over a connection."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from pytest_mock import MockerFixture
from support.http_server import address, serving
from support.wire import ask, request

from optillm_cerebras_cepo.sidecar.server import Connection


@pytest.mark.parametrize(
    ("parts", "sent"),
    [([b"whole"], 1), ([b"one, ", b"two, ", b"three"], 4), ([b"", b"late"], 2)],
    ids=["whole", "in parts", "empty at first"],
)
def test_the_head_is_sent_with_the_first_part_of_the_body(parts: list[bytes], sent: int, mocker: MockerFixture) -> None:
    """Each packet wakes the client. Later parts of a stream are sent one by one."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = [("content-length", str(len(parts[0])))] if len(parts) == 1 else []
        start_response("200 OK", length)
        return iter(parts) if len(parts) > 1 else parts

    send = mocker.spy(Connection, "send")
    with serving(application) as server:
        reply = ask(address(server), request("GET", "/"))
    assert (reply.status, reply.body) == (200, b"".join(parts))
    assert send.call_count == sent
