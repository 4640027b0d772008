"""How a finished reply gets to its client: whole or in a stream, and with which fault on the way."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aiohttp import web
from multidict import CIMultiDict

from . import completion
from .completion import Completed
from .hold import Hold
from .latency import Timing
from .ledger import NO_ANSWER, Ledger

_LINGER_NOT = struct.pack("ii", 1, 0)  # close() sends RST instead of FIN


class Delivery:
    """The way back of one call.

    The ledger gets the call's tokens when its usage goes out whole, and not at all when it does not. It is told before
    the last byte, so that a client that has the reply finds its call complete there.

    Args:
        request: the call.
        number: the call's, in the ledger.
        ledger: is told what became of it.
        headers: the rate limits', as they stand when the reply goes out.
        time_scale: simulated seconds in a real one.
        hold: is told of a reply that trickles, and releases the second half of a held stream.
        held: whether the stream is held.

    """

    def __init__(
        self,
        request: web.Request,
        number: int,
        ledger: Ledger,
        headers: Mapping[str, str],
        time_scale: float,
        hold: Hold,
        *,
        held: bool = False,
    ) -> None:
        self._request = request
        self._number = number
        self._ledger = ledger
        self._headers = headers
        self._second = 1 / time_scale
        self._hold = hold
        self._held = held

    async def whole(self, done: Completed, timing: Timing) -> web.StreamResponse:
        """Send one JSON object, as much of it as the fault lets through."""
        payload = json.dumps(completion.body(done, timing)).encode()
        half = len(payload) // 2
        if done.fault in ("cut", "reset_body"):
            return await self._break_off(payload[:half], len(payload), reset=done.fault == "reset_body")
        if done.fault == "wrong_length":
            return await self._break_off(payload, len(payload) + half)
        if done.fault == "short_length":
            return await self._break_off(payload, half)
        if done.fault == "invalid_json":
            return web.Response(body=payload[:half], headers=self._headed(done, "application/json"))
        if done.fault == "trickle":
            response = web.StreamResponse(headers=self._headed(done, "application/json"))
            response.content_length = len(payload)
            return await self._trickle(response, done, payload)
        self._account(done)
        return web.Response(body=payload, headers=self._headed(done, "application/json"))

    async def stream(self, done: Completed, timing: Timing) -> web.StreamResponse:
        """Send server-sent events, spread over the timing, until the fault comes."""
        response = web.StreamResponse(headers=self._headed(done, "text/event-stream"))
        response.headers["Cache-Control"] = "no-cache"
        await asyncio.sleep(timing.prompt)
        events = [completion.event(chunk) for chunk in completion.chunks(done)]
        last = completion.event(completion.last_chunk(done, timing))
        if done.fault == "trickle":
            return await self._trickle(response, done, b"".join([*events, last, completion.DONE]))
        await response.prepare(self._request)
        for position, event in enumerate(events):
            if self._held and position == len(events) // 2:
                await self._hold.wait(self._number)
            if position >= len(events) / 2:
                if done.fault in ("cut", "reset_body", "wrong_length", "short_length"):
                    return self.drop(reset=done.fault == "reset_body")
                if done.fault == "invalid_json":
                    await response.write(event.rstrip()[: len(event) // 2] + b"\n\n" + completion.DONE)
                    return response
            await response.write(event)
            if timing.completion > 0:
                await asyncio.sleep(timing.completion / len(events))
        await response.write(last)
        self._end(done, response)
        await response.write(completion.DONE)
        await response.write_eof()
        return response

    def drop(self, *, reset: bool = False) -> web.StreamResponse:
        """Close the connection, with RST if it is to be reset."""
        self._ledger.close(self._number, NO_ANSWER)
        transport = self._request.transport
        if transport is not None:
            if reset:
                connection = transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
                transport.abort()
            else:
                # close() lets what was written go out first, abort() would throw it away.
                transport.close()
        return web.Response()

    async def _break_off(self, sent: bytes, promised: int, *, reset: bool = False) -> web.StreamResponse:
        """Promise a body of so many bytes, send these in one piece where the system can, and hang up.

        Of two pieces the second may come when the client has sent its next call on the connection. Whether that call is
        read here before the connection is closed would then be a matter of chance.
        """
        response = web.StreamResponse(headers={**self._headers, "Content-Type": "application/json"})
        response.content_length = promised
        with _in_one_piece(self._request.transport):
            await response.prepare(self._request)
            await response.write(sent[:promised])
            if self._request.transport is not None:
                self._request.transport.write(sent[promised:])  # aiohttp would keep to what was promised
        return self.drop(reset=reset)

    async def _trickle(self, response: web.StreamResponse, done: Completed, payload: bytes) -> web.StreamResponse:
        await response.prepare(self._request)
        with self._hold.stalling(self._number):
            for byte in _bytes(payload[:-1]):
                await response.write(byte)
                await asyncio.sleep(self._second)
        self._end(done, response)
        await response.write(payload[-1:])
        await response.write_eof()
        return response

    def _headed(self, done: Completed, media_type: str) -> CIMultiDict[str]:
        headers = CIMultiDict({**self._headers, "Content-Type": media_type})
        if done.fault == "duplicate_headers":
            headers.extend(list(headers.items()))
        return headers

    def _account(self, done: Completed) -> None:
        self._ledger.amend(self._number, prompt_tokens=done.prompt_tokens, completion_tokens=done.completion_tokens)

    def _end(self, done: Completed, response: web.StreamResponse) -> None:
        self._account(done)
        self._ledger.close(self._number, response.status)


@contextmanager
def _in_one_piece(transport: asyncio.Transport | None) -> Iterator[None]:
    """Send what is written within this block when it ends. Linux only: elsewhere it is sent as it is written."""
    cork = getattr(socket, "TCP_CORK", None)
    connection = None if transport is None or cork is None else transport.get_extra_info("socket")
    if connection is None or cork is None:
        yield
        return
    connection.setsockopt(socket.IPPROTO_TCP, cork, 1)
    try:
        yield
    finally:
        connection.setsockopt(socket.IPPROTO_TCP, cork, 0)


def _bytes(payload: bytes) -> Iterator[bytes]:
    return (payload[position : position + 1] for position in range(len(payload)))
