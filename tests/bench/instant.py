"""`python instant.py`: an API that answers each call immediately with the same reply.

A separate process without libraries, so that it uses only a tenth of the processor time that a server uses for a
request. It counts the calls; `GET /calls` returns their number.
"""

from __future__ import annotations

import asyncio
import json

MODEL = "llama-3.3-70b"
# Valid for all steps: a plan, its execution, a review, an answer and a rating.
TEXT = "Six times seven is forty-two, so the answer is 42.\n\nRating: [[8]]"
TOKENS = {"prompt_tokens": 120, "completion_tokens": 30, "total_tokens": 150}
CALLS = b"GET /calls"


def response(body: object) -> bytes:
    """Return head and body, to send in one write: two writes would be delayed by Nagle's algorithm and delayed ACKs."""
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
        """Initialize."""
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer all complete requests."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n") + 4) > 3:
            _, found, rest = self._received[:end].lower().partition(b"content-length:")
            end += int(rest.split(b"\r\n", 1)[0]) if found else 0
            if len(self._received) < end:
                return
            request, self._received = self._received, self._received[end:]
            self._transport.write(self._answer(request))  # type: ignore[attr-defined]

    def _answer(self, request: bytes) -> bytes:
        if request.startswith(b"POST"):
            Instant.calls += 1
            return REPLY
        return response(Instant.calls) if request.startswith(CALLS) else MODELS


async def main() -> None:
    """Print the URL, and serve until the process is terminated."""
    server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
