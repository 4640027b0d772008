"""Strict HTTP request parser, and the memory limit of all request bodies together."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, Error

CHUNK_LINE_BYTES = 8 * 2**10  # of a chunk's size line, and of the trailer
SMALL_BODY_BYTES = 64 * 2**10  # a body up to this size is always read, which is quicker than to refuse it
FOLDED_HEADER = re.compile(rb"\r\n[ \t]")
TRANSFER_ENCODING = re.compile(rb"\r\ntransfer-encoding:([^\r]*)", re.IGNORECASE)

WantsBody = Callable[[Mapping[str, Any]], bool]


class BodyMemoryFull(Error):  # type: ignore[misc]
    """All bodies together exceed the memory limit."""

    code = 503
    reason = "Service Unavailable"


class BodyMemory:
    """Semaphore over the bytes of all request bodies. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._lock = threading.Lock()
        # The garbage collector may call `release` at any moment, also in a thread that holds the lock: a SimpleQueue is
        # reentrant, a lock is not.
        self._released: queue.SimpleQueue[int] = queue.SimpleQueue()

    def acquire(self, count: int) -> bool:
        """Acquire bytes and return whether they are within the limit. Release them in either case."""
        with self._lock:
            self._free -= count
            for _ in range(self._released.qsize()):
                self._free += self._released.get_nowait()
            return self._free >= 0

    def release(self, count: int) -> None:
        """Release bytes, without a lock."""
        self._released.put(count)


class RequestParser(HTTPRequestParser):  # type: ignore[misc]
    """Parser of one request that refuses everything that a proxy might read differently.

    `wants_body` returns whether a body will be used, from the WSGI environ of the headers.
    """

    body_rcv: Any
    chunked: bool
    completed: bool
    empty: bool
    error: Any

    def __init__(self, adj: Adjustments, wants_body: WantsBody, body_memory: BodyMemory) -> None:
        super().__init__(adj)
        self._wants_body = wants_body
        self._body_memory = body_memory
        self._acquired = 0

    def __del__(self) -> None:
        self._release_memory()

    def received(self, data: bytes) -> int:
        """Parse data; return how many of its bytes belong to this request."""
        consumed = int(super().received(data))
        if self.empty:  # blank lines; waitress would skip them without end
            self.empty, self.error = False, BadRequest("")
        if self.body_rcv is not None and not self.error:
            self._check_body(self.body_rcv)
        if self.error or self.body_rcv is None:
            self.expect_continue = False  # no body is wanted
        return consumed

    def close(self) -> None:
        """Discard the body."""
        super().close()
        self._release_memory()

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the headers. Raise ParsingError."""
        if FOLDED_HEADER.search(header_plus):
            raise ParsingError("folded header")
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a Content-Length of thousands of digits, an invalid host
            raise ParsingError("invalid number or address") from error
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("unsupported HTTP version")
        codings = [coding.strip(b" \t").lower() for coding in TRANSFER_ENCODING.findall(header_plus)]
        if codings and (codings != [b"chunked"] or self.version == "1.0" or "CONTENT_LENGTH" in self.headers):
            raise ParsingError("ambiguous body length")
        if self.chunked:
            # Other parsers read chunk lines differently: what follows must not be taken for a request.
            self._close_after_this()
        if self._is_unwanted_body():
            self.body_rcv, self.chunked, self.content_length = None, False, 0
            self.headers.pop("CONTENT_LENGTH", None)
            self._close_after_this()

    def environ(self) -> dict[str, Any]:
        """Return what is known of the request after its headers, as a WSGI environ."""
        path = getattr(self, "path", "")
        return {
            "REQUEST_METHOD": getattr(self, "command", ""),
            "PATH_INFO": "/" + path.lstrip("/") if path.startswith("/") else path,
            **{f"HTTP_{name}": value for name, value in self.headers.items()},
        }

    def _is_unwanted_body(self) -> bool:
        is_large = self.chunked or self.expect_continue or self.content_length > SMALL_BODY_BYTES
        is_too_large = self.content_length >= self.adj.max_request_body_size  # which waitress reports
        return self.body_rcv is not None and is_large and not is_too_large and not self._wants_body(self.environ())

    def _close_after_this(self) -> None:
        self.connection_close = True
        self.headers["CONNECTION"] = "close"

    def _check_body(self, receiver: Any) -> None:
        more = max(0, self.body_bytes_received - SMALL_BODY_BYTES) - self._acquired  # a small body is not counted
        self._acquired += more
        if not self._body_memory.acquire(more):
            self.error = BodyMemoryFull("")
            self.close()  # at once, so that other bodies can be completed
            self.body_rcv = None
        elif self.chunked and not self.completed and len(receiver.control_line + receiver.trailer) > CHUNK_LINE_BYTES:
            self.error = BadRequest("")
        if self.error:
            self.completed = True

    def _release_memory(self) -> None:
        acquired, self._acquired = self._acquired, 0
        if acquired:
            self._body_memory.release(acquired)
