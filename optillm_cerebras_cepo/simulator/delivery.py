"""Send a finished reply to its client, at once or as a stream, with the faults of its transmission."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Iterator, Mapping

from aiohttp import web
from multidict import CIMultiDict

from . import completion
from .call_log import NO_ANSWER, CallLog
from .completion import Completed
from .held_calls import HeldCalls
from .latency import Timing

_NO_LINGER = struct.pack("ii", 1, 0)  # close() then sends RST instead of FIN


class Delivery:
    """Sends the reply to one call.

    The call's tokens are logged only if its complete usage is sent. They are logged before the last byte is sent, so
    that a client with the reply finds its call complete in the log.

    Args:
        request: the call.
        number: of the call in the log.
        call_log: records the end of the call.
        headers: rate-limit headers of the reply.
        time_scale: simulated seconds in one real second.
        held_calls: registers trickling replies, and releases the second half of a held stream.

    """

    def __init__(
        self,
        request: web.Request,
        number: int,
        call_log: CallLog,
        headers: Mapping[str, str],
        time_scale: float,
        held_calls: HeldCalls,
    ) -> None:
        self._request = request
        self._number = number
        self._call_log = call_log
        self._headers = headers
        self._second = 1 / time_scale
        self._held_calls = held_calls

    async def whole(self, done: Completed, timing: Timing) -> web.StreamResponse:
        """Send one JSON object, or the part of it that the fault lets through."""
        payload = json.dumps(completion.body(done, timing)).encode()
        half = len(payload) // 2
        if done.fault in ("cut", "reset_body"):
            return self._break_off(payload[:half], len(payload), reset=done.fault == "reset_body")
        if done.fault == "wrong_length":
            return self._break_off(payload, len(payload) + half)
        if done.fault == "short_length":
            return self._break_off(payload, half)
        if done.fault == "invalid_json":
            return web.Response(body=payload[:half], headers=self._reply_headers(done, "application/json"))
        if done.fault == "trickle":
            response = web.StreamResponse(headers=self._reply_headers(done, "application/json"))
            response.content_length = len(payload)
            return await self._trickle(response, done, payload)
        self._account(done)
        return web.Response(body=payload, headers=self._reply_headers(done, "application/json"))

    async def stream(self, done: Completed, timing: Timing) -> web.StreamResponse:
        """Send server-sent events, distributed over the timing, until the fault occurs."""
        response = web.StreamResponse(headers=self._reply_headers(done, "text/event-stream"))
        response.headers["Cache-Control"] = "no-cache"
        await asyncio.sleep(timing.prompt)
        events = [completion.event(chunk) for chunk in completion.chunks(done)]
        last = completion.event(completion.last_chunk(done, timing))
        if done.fault == "trickle":
            return await self._trickle(response, done, b"".join([*events, last, completion.DONE]))
        await response.prepare(self._request)
        for position, event in enumerate(events):
            if done.held and position == len(events) // 2:
                await self._held_calls.wait(self._number)
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
        """Close the connection; with `reset` send RST."""
        self._call_log.close(self._number, NO_ANSWER)
        transport = self._request.transport
        if transport is not None:
            if reset:
                connection = transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                transport.abort()
            else:
                # close() sends the buffered data first, abort() would discard it.
                transport.close()
        return web.Response()

    def _break_off(self, sent: bytes, promised: int, *, reset: bool = False) -> web.StreamResponse:
        """Send a Content-Length of `promised` and the body `sent` in one write, and disconnect.

        After a part of the reply, the client may send its next call on the connection. Whether the simulator reads that
        call before it closes the connection would be random. aiohttp sends the header and the body separately, and at
        most Content-Length bytes, so the reply is written to its transport.
        """
        headers = {**self._headers, "Content-Type": "application/json", "Content-Length": str(promised)}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if self._request.transport is not None:
            self._request.transport.write(f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + sent)
        return self.drop(reset=reset)

    async def _trickle(self, response: web.StreamResponse, done: Completed, payload: bytes) -> web.StreamResponse:
        await response.prepare(self._request)
        with self._held_calls.stalling(self._number):
            for byte in _bytes(payload[:-1]):
                await response.write(byte)
                await asyncio.sleep(self._second)
        self._end(done, response)
        await response.write(payload[-1:])
        await response.write_eof()
        return response

    def _reply_headers(self, done: Completed, media_type: str) -> CIMultiDict[str]:
        headers = CIMultiDict({**self._headers, "Content-Type": media_type})
        if done.fault == "duplicate_headers":
            headers.extend(list(headers.items()))
        return headers

    def _account(self, done: Completed) -> None:
        self._call_log.amend(self._number, prompt_tokens=done.prompt_tokens, completion_tokens=done.completion_tokens)

    def _end(self, done: Completed, response: web.StreamResponse) -> None:
        self._account(done)
        self._call_log.close(self._number, response.status)


def _bytes(payload: bytes) -> Iterator[bytes]:
    return (payload[position : position + 1] for position in range(len(payload)))
