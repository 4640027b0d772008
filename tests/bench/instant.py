"""`python instant.py`: an API that answers each call at once with the same reply, and does nothing else.

A program of its own, without a library: what it takes of the processor is a tenth of what a server takes for a request.
It counts the calls; `GET /calls` says how many there were.
"""

from __future__ import annotations

import asyncio
import json

MODEL = "llama-3.3-70b"
# Good for every step: a plan, its execution, a review, an answer, and a judge's word.
TEXT = "Six times seven is forty-two, so the answer is 42.\n\nRating: [[8]]"
TOKENS = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}
CALLS = b"GET /calls"


def response(body: object) -> bytes:
    """What is sent: head and body in one write, for two of them would wait for each other (Nagle, delayed ACK)."""
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    return head.encode() + text


REPLY = response(
    {
        "id": "chatcmpl-instant",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}],
        "usage": TOKENS,
    }
)
MODELS = response({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "bench"}]})


class Instant(asyncio.Protocol):
    """One connection."""

    calls = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._come = b""

    def data_received(self, data: bytes) -> None:
        """Answer all requests that have come whole."""
        self._come += data
        while (end := self._come.find(b"\r\n\r\n") + 4) > 3:
            _, told, rest = self._come[:end].lower().partition(b"content-length:")
            end += int(rest.split(b"\r\n", 1)[0]) if told else 0
            if len(self._come) < end:
                return
            request, self._come = self._come, self._come[end:]
            self._transport.write(self._answer(request))  # type: ignore[attr-defined]

    def _answer(self, request: bytes) -> bytes:
        if request.startswith(b"POST"):
            Instant.calls += 1
            return REPLY
        return response(Instant.calls) if request.startswith(CALLS) else MODELS


async def main() -> None:
    """Say where, and serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
