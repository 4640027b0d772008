"""Calls that the network breaks or delays, and calls that are cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from conftest import KEY
from support.once import once
from support.ports import free_port
from support.sdk_client import CLIENTS, LOOP, Simulate, connect, request
from support.waiting import PATIENCE, until

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.llm.sdk import SdkClient
from optillm_cerebras_cepo.simulator import CLIENT_GONE, Latency
from optillm_cerebras_cepo.simulator.answers import Rule


@pytest.mark.parametrize("fault", ["close", "cut"])
def test_broken_connection_is_unreachable(simulate: Simulate, fault: Any) -> None:
    """Before an answer, and in the middle of one."""
    with pytest.raises(errors.ApiUnreachable):
        connect(simulate(rules=(Rule(fault=fault),)).url).complete(request())


def test_broken_connection_is_not_a_timeout() -> None:
    """A reset differs from an API that is slow."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reset() -> None:
            connection, _ = server.accept()
            connection.recv(65_536)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        threading.Thread(target=reset, daemon=True).start()
        with pytest.raises(errors.ApiUnreachable):
            connect(f"http://127.0.0.1:{server.getsockname()[1]}").complete(request())


def test_address_without_an_answer_times_out() -> None:
    """Its queue of connections is full; connecting is within the call's time-out."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as waiting:
        for _ in range(4):
            full = waiting.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(server.getsockname())
        with pytest.raises(errors.ApiTimeout):
            connect(f"http://127.0.0.1:{server.getsockname()[1]}").complete(request(timeout=0.3))


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nx-long: ", b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"])
@pytest.mark.parametrize("streamed", [False, True])
def test_trickling_reply_times_out(start: bytes, streamed: bool) -> None:
    """The time-out does not restart with each byte, and the connection is closed."""
    gone = threading.Event()

    def trickle(server: socket.socket) -> None:
        connection, _ = server.accept()
        connection.recv(65_536)
        with connection, contextlib.suppress(OSError):
            connection.sendall(start)
            while True:
                connection.sendall(b"H")
                time.sleep(0.02)
        gone.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=trickle, args=(server,), daemon=True).start()
        client = connect(f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(errors.ApiTimeout):
            client.complete(request(timeout=1.0, listener=(lambda _: None) if streamed else None))
        assert gone.wait(30)


def test_unresolved_name_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name servers can fail for a moment, so it is retried."""

    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(errors.ApiUnreachable) as caught:
        connect("http://api.invalid").complete(request())
    assert caught.value.retryable


def test_list_of_models_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that accepts the connection and sends nothing is found before the first call."""
    monkeypatch.setattr("optillm_cerebras_cepo.llm.sdk.LIST_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(errors.ApiTimeout, match=r"within 0\.3 s"):
        connect(f"http://127.0.0.1:{server.getsockname()[1]}").list_models()


def test_proxy_in_the_environment_is_used(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the SDK itself: many servers reach the API through one."""
    proxy = simulate()
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    assert connect("http://api.invalid").complete(request()).text
    assert len(proxy.chat_calls) == 1


def test_process_ends_without_warnings(simulate: Simulate) -> None:
    """Aiohttp would warn of connections that are not closed at exit."""
    code = (
        "from optillm_cerebras_cepo.runtime import RUNTIME\n"
        "import sys\n"
        f"assert RUNTIME.client(sys.argv[1], {KEY!r}).list_models()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, simulate().url], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert "HTTP Request" in done.stderr  # OptiLLM has errors and warnings written
    assert "ERROR" not in done.stderr
    assert "Unclosed" not in done.stderr


def test_refused_connection_is_unreachable() -> None:
    """The error says what to check."""
    with pytest.raises(errors.ApiUnreachable, match="base-url"):
        connect(f"http://127.0.0.1:{free_port()}").complete(request())


def test_slow_call_times_out(simulate: Simulate) -> None:
    """At the request's own time-out."""
    with pytest.raises(errors.ApiTimeout):
        connect(simulate(rules=(Rule(latency=5.0),)).url).complete(request(timeout=0.2))


def test_call_in_flight_is_cancelled_when_its_request_ends(simulate: Simulate) -> None:
    """At once, and the API sees that the connection is closed."""
    api = simulate(rules=(Rule(latency=600.0),))
    deadline = Deadline(600)
    once(lambda: bool(api.in_flight), deadline.end)
    with pytest.raises(errors.Ended):
        connect(api.url).complete(request(deadline=deadline, timeout=600.0))
    until(lambda: not api.in_flight)
    assert [call.status for call in api.chat_calls] == [CLIENT_GONE]


def test_error_of_a_cancelled_call_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody reads it."""

    async def breaks() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError("broken while it was closed") from None

    async def nothing() -> None:
        await asyncio.sleep(0)

    deadline = Deadline(60)
    threading.Timer(0.2, deadline.end).start()
    with pytest.raises(errors.Ended):
        LOOP.run(breaks(), deadline)
    for _ in range(3):
        LOOP.run(nothing())  # by then the loop is done with the other
    gc.collect()
    assert caplog.records == []


def test_call_of_an_ended_request_does_not_start(simulate: Simulate) -> None:
    """It raises what ended the request."""
    api = simulate()
    deadline = Deadline(60)
    deadline.end(errors.WrongKey("wrong"))
    with pytest.raises(errors.WrongKey):
        connect(api.url).complete(request(deadline=deadline))
    assert api.chat_calls == ()


def test_open_connections_are_limited(simulate: Simulate) -> None:
    """Further calls wait for one, and are answered; there are no more open files."""
    api = simulate(latency=Latency(base=0.05))
    client = SdkClient(api.url, KEY, LOOP, connections=2)
    CLIENTS.append(client)
    with ThreadPoolExecutor(8) as callers:
        replies = [*callers.map(lambda _: client.complete(request(timeout=60.0)), range(16))]
    assert all(reply.text for reply in replies)
    assert (api.peak_in_flight, api.connections) == (2, 2)
