"""Clients that send or read slowly, or not at all, delay no others and are disconnected."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.http_server import address, serving
from support.waiting import PATIENCE, until
from support.wire import Wire, request

from optillm_cerebras_cepo.sidecar.server import Connection, ConnectionTimeouts, Server, ServerLimits

QUESTION = b'{"messages": [{"role": "user", "content": "What is 6 times 7?"}]}'
HEADERS = b"POST /v1/chat/completions HTTP/1.1\r\nhost: sidecar\r\ncontent-type: application/json\r\n"
PIECE = b"x" * 2**16
LISTENING, ENDED = "0A", "06"  # states of connections in /proc/net/tcp


@dataclass
class Answers:
    """An application that answers at once, on a signal, or without end."""

    go: threading.Event = field(default_factory=threading.Event)
    asked: int = 0
    sent: int = 0
    closed: int = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer."""
        self.asked += 1
        start_response("200 OK", [("content-type", "text/plain")])
        if environ["PATH_INFO"] == "/endless":
            return _Endless(self)
        if environ["PATH_INFO"] == "/late":
            self.go.wait(30)
        return [b"done"]


class _Endless:
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self._answers.sent += len(PIECE)
            yield PIECE

    def close(self) -> None:
        """Count the closed responses."""
        self._answers.closed += 1


SHORT = ServerLimits(timeouts=ConnectionTimeouts(idle=2.0, reading=2.0))


def ended(wire: Wire) -> bool:
    """Return whether the server has closed the connection."""
    wire.socket.settimeout(0.05)
    try:
        return wire.socket.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /health HTTP/1.1\r\n", b"x-a: a\r\n"),
        (b"GET /", b"a"),
        (b"POST / HTTP/1.1\r\ncontent-length: 100000\r\n\r\n", b"a"),
        (b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
    ],
    ids=["headers", "an address", "a body", "chunks"],
)
def test_a_slowly_sent_request_is_closed(start: bytes, more: bytes) -> None:
    """Although the connection is never idle."""
    answers = Answers()
    limits = ServerLimits(timeouts=ConnectionTimeouts(idle=30.0, reading=0.3))
    with serving(answers, limits) as server, Wire(address(server)) as wire:
        wire.send(start)
        until(lambda: ended(wire.send(more)))
        assert answers.asked == 0


def test_an_idle_connection_is_closed() -> None:
    """Before a request, and after an answer."""
    with serving(Answers(), SHORT) as server, Wire(address(server)) as silent, Wire(address(server)) as answered:
        assert answered.send(request("GET", "/")).reply().body == b"done"
        until(lambda: ended(silent))
        until(lambda: ended(answered))


@pytest.mark.parametrize("data", [b"", request("GET", "/")])
def test_a_client_is_not_idle_while_the_server_has_not_read_its_request(data: bytes) -> None:
    """A server that was held up for longer than the time-out looks after its connections before it reads."""
    server = Server(Answers(), "127.0.0.1", 0, threads=1)
    try:
        with Wire(address(server)) as wire:
            wire.send(data)
            server.handle_accept()
            (connection,) = server.active_channels.values()
            select.select([connection.socket] if data else [], [], [], PATIENCE if data else 0)
            server.maintenance(time.time() + 1000)
            assert bool(server.active_channels) is bool(data)
            connection.handle_close()
    finally:
        server.close()
        server.task_dispatcher.shutdown(timeout=5)


def test_a_slow_answer_is_not_cut() -> None:
    """The time-outs are for clients, not for the application."""
    answers = Answers()
    with serving(answers, SHORT) as server, Wire(address(server)) as waiting, Wire(address(server)) as idle:
        waiting.send(request("GET", "/late"))
        until(lambda: ended(idle))
        assert not ended(waiting)
        answers.go.set()
        waiting.socket.settimeout(30)
        assert waiting.reply().body == b"done"


def test_a_client_that_does_not_read_is_closed() -> None:
    """Its buffer is limited, its thread is released, and the application's iterator is closed."""
    answers = Answers()
    with serving(answers, SHORT, threads=2) as server:
        wires = [Wire(address(server)) for _ in range(2)]
        for wire in wires:
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
            wire.send(request("GET", "/endless"))
        until(lambda: answers.asked == 2)  # both threads
        with Wire(address(server)) as other:
            assert other.send(request("GET", "/")).reply().body == b"done"
        until(lambda: answers.closed == 2)
        assert answers.sent < 2 * 32 * 2**20  # with the buffers of the system's two sides
        for wire in wires:
            wire.close()


def test_a_client_that_sends_and_does_not_read_is_closed() -> None:
    """Its small responses accumulate as well."""
    answers = Answers()
    with serving(answers, SHORT) as server, Wire(address(server)) as wire:
        wire.socket.settimeout(0.5)
        questions = request("GET", "/") * 1000
        try:
            while True:
                wire.socket.sendall(questions)
        except (TimeoutError, OSError):
            pass
        asked = answers.asked
        assert asked > 0
        until(lambda: _is_over(wire))


def _is_over(wire: Wire) -> bool:
    """Return whether the other end has closed a connection whose replies are not read."""
    try:
        wire.socket.send(b"a", socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def test_time_outs_are_short_at_the_connection_limit() -> None:
    """With more idle connections than allowed, a new client is still answered."""
    limits = ServerLimits(connections=50, overload_timeouts=ConnectionTimeouts(idle=2.0, reading=2.0))
    with serving(Answers(), limits) as server:
        idle = [Wire(address(server)) for _ in range(150)]
        for wire in idle[::2]:
            with suppress(OSError):  # on a slow machine its time-out is over already
                wire.send(b"POST / HTTP/1.1\r\n")
        with Wire(address(server)) as late:
            assert late.send(request("GET", "/")).reply().body == b"done"
        with Wire(address(server)) as later:
            assert later.send(request("GET", "/")).reply().body == b"done"
        for wire in idle:
            wire.close()


def test_slow_clients_delay_nobody(plain: Any) -> None:
    """A hundred of them, half in the headers and half in the body, take no thread."""
    start = HEADERS + b"content-length: 100000\r\n\r\n"
    slow = [Wire(plain.url).send(HEADERS if number % 2 else start) for number in range(100)]
    for _ in range(3):
        for wire in slow:
            wire.send(b"x: x\r\n")
        assert plain.send(request("GET", "/health")).status == 200
        assert plain.send(request(body=QUESTION)).status == 200
    assert not any(ended(wire) for wire in slow[:4])
    for wire in slow:
        wire.close()


def held(url: str) -> int:
    """Return how many connections to this server the system has that are not closing."""
    port = f":{urlsplit(url).port:04X}"
    lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(line[1].endswith(port) and line[3] not in (LISTENING, ENDED) for line in lines)


def test_a_client_that_hangs_up_leaves_nothing(plain: Any) -> None:
    """In the headers, in the body or after the request, with a full or a half close."""
    for data in (b"POST /v1", HEADERS + b"content-length: 100000\r\n\r\nabc", request(body=QUESTION)):
        with Wire(plain.url) as wire:
            wire.send(data)
        with Wire(plain.url) as wire:
            wire.send(data).socket.shutdown(socket.SHUT_WR)
            wire.rest()
    until(lambda: b"cepo_cerebras_requests_in_flight 0.0" in plain.send(request("GET", "/metrics")).body)
    until(lambda: held(plain.url) == 0)


def connection(**state: Any) -> Connection:
    """Return a connection in this state, without a socket."""
    made = Connection.__new__(Connection)
    made.__dict__.update({"requests": [], "total_outbufs_len": 0, "last_activity": 0.0, **state})
    return made


def test_a_new_response_has_not_timed_out() -> None:
    """The time-out starts with the first unsent byte, although the connection was idle before."""
    patience = ConnectionTimeouts(idle=75, reading=60)
    one = connection(requests=["a"], last_activity=0.0)
    assert not one.has_timed_out(1000.0, patience)
    one.__dict__["total_outbufs_len"] = 5
    assert not one.has_timed_out(1000.1, patience)
    assert not one.has_timed_out(1075.0, patience)
    one.__dict__["last_activity"] = 1050.0  # some of it was taken
    assert not one.has_timed_out(1080.0, patience)
    assert not one.has_timed_out(1150.0, patience)
    assert one.has_timed_out(1155.5, patience)
