"""A client of the sidecar, of the standard library alone."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

QUESTION = {"messages": [{"role": "user", "content": "What is 12 times 7?"}]}
PLANNED = "cepo_cerebras-llama3.3-70b"
DIRECT = "none-llama3.3-70b"


@dataclass(frozen=True)
class Reply:
    """An answer: its status, its headers with small letters, its body; of a stream, when each part of it came."""

    status: int
    headers: dict[str, str]
    body: bytes
    moments: list[float] = field(default_factory=list)

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def events(self) -> list[Any]:
        """The chunks of a stream. Raises AssertionError if it has no proper end."""
        lines = [line.removeprefix(b"data: ") for line in self.body.split(b"\n") if line.startswith(b"data: ")]
        assert lines[-1] == b"[DONE]", self.body[-500:]
        return [json.loads(line) for line in lines[:-1]]


def get(path: str) -> Reply:
    """Ask the sidecar for a page."""
    with connected() as connection:
        connection.request("GET", path)
        return read(connection)


def ask(model: str = PLANNED, *, request_id: str = "", **fields: Any) -> Reply:
    """Ask the sidecar the question, and read the answer to its end."""
    with connected() as connection:
        send(connection, model, request_id=request_id, **fields)
        return read(connection)


def send(connection: http.client.HTTPConnection, model: str, *, request_id: str = "", **fields: Any) -> None:
    """Only ask."""
    headers = {"content-type": "application/json"} | ({"x-request-id": request_id} if request_id else {})
    body = json.dumps({"model": model, **QUESTION, **fields})
    connection.request("POST", "/v1/chat/completions", body, headers)


def ask_many(times: int, model: str = DIRECT, **fields: Any) -> list[Future[Reply]]:
    """Ask that often at once; `request_id` gets a number."""
    prefix = fields.pop("request_id", "many")
    pool = ThreadPoolExecutor(times)
    asked = [pool.submit(ask, model, request_id=f"{prefix}-{number}", **fields) for number in range(times)]
    pool.shutdown(wait=False)
    return asked


@contextmanager
def connected(port: int = 8080) -> Iterator[http.client.HTTPConnection]:
    """A connection, closed at the end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def read(connection: http.client.HTTPConnection) -> Reply:
    """The whole answer to what was asked last."""
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    parts, moments = [], []
    while part := response.read1():
        parts.append(part)
        moments.append(time.monotonic())
    return Reply(response.status, headers, b"".join(parts), moments)
