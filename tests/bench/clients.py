"""`python clients.py`: clients that send requests one after another; a separate process without libraries.

Each input line is a Load as JSON, each output line its LoadResult. Connections are reused if the server keeps them
open.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Load:
    """Requests to send.

    Attributes:
        url: of the server.
        body: of each request.
        clients: number of simultaneous clients.
        seconds: for which each client sends requests; then it finishes its last one. 0: one request for each client.

    """

    url: str
    body: dict[str, Any]
    clients: int
    seconds: float = 0.0


@dataclass
class LoadResult:
    """The replies to a Load.

    Attributes:
        took: seconds from the first request to the last reply.
        seconds: durations of the requests with status 200.
        statuses: number of replies with each status; 0 for broken connections.
        without_retry_after: number of replies with status 503 but without retry-after.

    """

    took: float = 0.0
    seconds: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    without_retry_after: int = 0


@dataclass(frozen=True)
class _Reply:
    status: int
    keep_alive: bool
    retry_after: bool


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> _Reply:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, found, rest = head.partition(b"content-length:")
    await (reader.readexactly(int(rest.split(b"\r\n", 1)[0])) if found else reader.read())
    keep_alive = bool(found) and head.startswith(b"http/1.1") and b"connection: close" not in head
    return _Reply(int(head[9:12]), keep_alive, b"\r\nretry-after:" in head)


async def _client(load: Load, request: bytes, until: float, result: LoadResult, statuses: Counter[str]) -> None:
    where, connection = urlsplit(load.url), None
    while True:
        began = time.perf_counter()
        try:
            connection = connection or await asyncio.open_connection(where.hostname, where.port)
            reply = await _exchange(*connection, request)
        except (OSError, EOFError):
            reply = _Reply(0, keep_alive=False, retry_after=False)
        statuses[str(reply.status)] += 1
        result.without_retry_after += reply.status == 503 and not reply.retry_after
        if reply.status == 200:
            result.seconds.append(time.perf_counter() - began)
        if connection and not reply.keep_alive:
            connection[1].close()
            connection = None
        if time.perf_counter() >= until:
            break
    if connection:
        connection[1].close()


async def send(load: Load) -> LoadResult:
    """Send the requests."""
    body = json.dumps(load.body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {urlsplit(load.url).netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    result, statuses = LoadResult(), Counter[str]()
    began = time.perf_counter()
    request, until = head.encode() + body, began + load.seconds
    await asyncio.gather(*(_client(load, request, until, result, statuses) for _ in range(load.clients)))
    result.took, result.statuses = time.perf_counter() - began, dict(statuses)
    return result


def main() -> None:
    """Send the requests of each input line."""
    for line in sys.stdin:
        print(json.dumps(vars(asyncio.run(send(Load(**json.loads(line)))))), flush=True)


if __name__ == "__main__":
    main()
