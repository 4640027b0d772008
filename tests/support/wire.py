"""Bytes on a connection, as no HTTP library would send them, and what comes back."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from types import TracebackType
from typing import Any, BinaryIO
from urllib.parse import urlsplit

SECONDS = 30.0  # for a reply: far more than one takes

# All that a reply may tell of itself; no server's name, no version, nothing for pages of other sites.
HEADERS = frozenset(
    {
        "allow",
        "connection",
        "content-length",
        "content-type",
        "date",
        "retry-after",
        "transfer-encoding",
        "x-cepo-cerebras-cost",
        "x-request-id",
        "x-should-retry",
    }
)


@dataclass(frozen=True)
class Reply:
    """One reply, whole. `headers` have lower-case names; one that comes twice is an error."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of an error."""
        return str(self.json["error"]["code"])


class _Socket:
    """What http.client takes for a socket: it is to read no further than one reply."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def makefile(self, _: str) -> _Socket:
        return self

    def close(self) -> None:
        """Others come after it."""

    def flush(self) -> None:
        """It is only read."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Wire:
    """A connection to a server. A context manager."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self.socket = socket.create_connection((where.hostname, where.port or 80), timeout=SECONDS)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> Wire:
        """Send these bytes, or as many of them as the server takes before it hangs up."""
        with suppress(BrokenPipeError, ConnectionResetError):  # what it has said before is still there to be read
            self.socket.sendall(data)
        return self

    def reply(self, method: str = "GET") -> Reply:
        """The next reply."""
        response = HTTPResponse(_Socket(self._file), method=method)  # type: ignore[arg-type]
        response.begin()
        headers = response.getheaders()
        assert len({name.lower() for name, _ in headers}) == len(headers), headers
        return Reply(response.status, {name.lower(): value for name, value in headers}, response.read())

    def rest(self) -> bytes:
        """All that comes until the server hangs up."""
        try:
            return self._file.read()
        except ConnectionResetError:
            return b""


def request(
    method: str = "POST", path: str = "/v1/chat/completions", body: bytes = b"", **headers: str | bytes | None
) -> bytes:
    """A request as HTTP has it. A header's name has _ for -; None leaves it out."""
    given: dict[str, str | bytes | None] = {"host": "sidecar", **headers}
    if body or method == "POST":
        given = {"content_type": "application/json", "content_length": str(len(body)), **given}
    lines = [
        name.replace("_", "-").encode() + b": " + (value if isinstance(value, bytes) else value.encode())
        for name, value in given.items()
        if value is not None
    ]
    return b"\r\n".join([f"{method} {path} HTTP/1.1".encode("latin-1"), *lines, b"", body])


def ask(url: str, data: bytes) -> Reply:
    """Send these bytes on a connection of their own, and return the reply."""
    with Wire(url) as wire:
        return wire.send(data).reply(data.split(b" ", 1)[0].decode("latin-1"))


def assert_refused(reply: Reply, status: int, code: str | None, param: str | None = None) -> None:
    """The reply is this refusal in OpenAI's form, and tells nothing else: of the server, or of what it is made of."""
    assert reply.status == status, reply
    assert reply.headers.keys() <= HEADERS
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-request-id"]
    assert reply.headers["x-should-retry"] in ("true", "false")
    assert reply.json.keys() == {"error"}
    error = reply.json["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]
    for word in ("Traceback", 'File "', "/lib/", "waitress", "erkzeug", "lask", "ython/"):
        assert word not in reply.body.decode()
