"""`python clients.py`: so many clients that ask one question after another; a process of its own, without a library.

Each line of its input is a Load as JSON, and is answered by a line with what became of it. A connection is used again
where the server keeps it.
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
    """What is to be asked of whom.

    Attributes:
        url: the server's.
        body: the question.
        clients: how many ask at once.
        seconds: for so long each goes on asking; what has begun by then is waited for. 0: each asks once.

    """

    url: str
    body: dict[str, Any]
    clients: int
    seconds: float = 0.0


@dataclass
class Told:
    """What became of it.

    Attributes:
        took: seconds from the first question to the last answer.
        seconds: of each that was answered 200.
        statuses: how many were answered with each status; 0 where the connection broke.
        unsaid: how many were answered 503 without a retry-after.

    """

    took: float = 0.0
    seconds: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    unsaid: int = 0


@dataclass(frozen=True)
class _Answer:
    status: int
    keeps: bool
    later: bool


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> _Answer:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    _, told, rest = head.partition(b"content-length:")
    await (reader.readexactly(int(rest.split(b"\r\n", 1)[0])) if told else reader.read())
    keeps = bool(told) and head.startswith(b"http/1.1") and b"connection: close" not in head
    return _Answer(int(head[9:12]), keeps, b"\r\nretry-after:" in head)


async def _client(load: Load, request: bytes, until: float, told: Told, statuses: Counter[str]) -> None:
    where, connection = urlsplit(load.url), None
    while True:
        began = time.perf_counter()
        try:
            connection = connection or await asyncio.open_connection(where.hostname, where.port)
            answer = await _exchange(*connection, request)
        except (OSError, EOFError):
            answer = _Answer(0, keeps=False, later=False)
        statuses[str(answer.status)] += 1
        told.unsaid += answer.status == 503 and not answer.later
        if answer.status == 200:
            told.seconds.append(time.perf_counter() - began)
        if connection and not answer.keeps:
            connection[1].close()
            connection = None
        if time.perf_counter() >= until:
            break
    if connection:
        connection[1].close()


async def ask(load: Load) -> Told:
    """Ask all of it."""
    body = json.dumps(load.body).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {urlsplit(load.url).netloc}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    told, statuses = Told(), Counter[str]()
    began = time.perf_counter()
    request, until = head.encode() + body, began + load.seconds
    await asyncio.gather(*(_client(load, request, until, told, statuses) for _ in range(load.clients)))
    told.took, told.statuses = time.perf_counter() - began, dict(statuses)
    return told


def main() -> None:
    """Answer each line."""
    for line in sys.stdin:
        print(json.dumps(vars(asyncio.run(ask(Load(**json.loads(line)))))), flush=True)


if __name__ == "__main__":
    main()
