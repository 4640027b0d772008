"""What is read of a connection: requests as HTTP has them, and the bodies of those alone who may send one."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.utilities import BadRequest, Error

LINE = 8 * 2**10  # bytes of the line before a chunk, and of what follows the last one
SMALL = 64 * 2**10  # bytes of a body that is read in any case: sooner than refused while it is on its way
FOLDED = re.compile(rb"\r\n[ \t]")
CODING = re.compile(rb"\r\ntransfer-encoding:([^\r]*)", re.IGNORECASE)

WantsBody = Callable[[Mapping[str, Any]], bool]


class Full(Error):  # type: ignore[misc]
    """All bodies together are larger than the memory that there is for them."""

    code = 503
    reason = "Service Unavailable"


class Room:
    """Bytes that there are for all bodies together. For many threads."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = threading.Lock()
        # Garbage collection calls `give` anywhere, also on a thread that holds the lock: this queue may be put into
        # at any moment, a lock may not be taken.
        self._given: queue.SimpleQueue[int] = queue.SimpleQueue()

    def take(self, count: int) -> bool:
        """Whether there is still room; what is taken has to be given back in any case."""
        with self._lock:
            self._left -= count
            for _ in range(self._given.qsize()):
                self._left += self._given.get_nowait()
            return self._left >= 0

    def give(self, count: int) -> None:
        """Give back. Takes no lock."""
        self._given.put(count)


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """One request, strictly: what a proxy may read in another way than we do is refused.

    Args:
        adj: waitress' settings.
        wants_body: whether a request's body will be of any use, by its WSGI environ as far as headers tell it.
        room: for the bodies.

    """

    body_rcv: Any
    chunked: bool
    completed: bool
    empty: bool
    error: Any

    def __init__(self, adj: Adjustments, wants_body: WantsBody, room: Room) -> None:
        super().__init__(adj)
        self._wants_body = wants_body
        self._room = room
        self._held = 0

    def __del__(self) -> None:
        self._give_back()

    def received(self, data: bytes) -> int:
        """Read on; return how many of these bytes belong to this request."""
        consumed = int(super().received(data))
        if self.empty:  # lines alone; waitress would go on reading them for ever
            self.empty, self.error = False, BadRequest("")
        if self.body_rcv is not None and not self.error:
            self._check_body(self.body_rcv)
        if self.error or self.body_rcv is None:
            self.expect_continue = False  # nothing more is wanted
        return consumed

    def close(self) -> None:
        """Forget the body."""
        super().close()
        self._give_back()

    def parse_header(self, header_plus: bytes) -> None:
        """Read the headers. Raises ParsingError."""
        if FOLDED.search(header_plus):
            raise ParsingError("a header of several lines")
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a length of thousands of digits, an address that is none
            raise ParsingError("no number, or no address") from error
        if self.version not in ("1.0", "1.1"):
            raise ParsingError("another version of HTTP")
        codings = [coding.strip(b" \t").lower() for coding in CODING.findall(header_plus)]
        if codings and (codings != [b"chunked"] or self.version == "1.0" or "CONTENT_LENGTH" in self.headers):
            raise ParsingError("a body whose end is told in two ways, or in none")
        if self.chunked:
            # Others read the lines before the chunks less strictly, or more: what follows is never read as a request.
            self._end_connection()
        if self._is_unwanted_body():
            self.body_rcv, self.chunked, self.content_length = None, False, 0
            self.headers.pop("CONTENT_LENGTH", None)
            self._end_connection()

    def environ(self) -> dict[str, Any]:
        """What is known of the request when its headers have been read, as WSGI has it."""
        path = getattr(self, "path", "")
        return {
            "REQUEST_METHOD": getattr(self, "command", ""),
            "PATH_INFO": "/" + path.lstrip("/") if path.startswith("/") else path,
            **{f"HTTP_{name}": value for name, value in self.headers.items()},
        }

    def _is_unwanted_body(self) -> bool:
        large = self.chunked or self.expect_continue or self.content_length > SMALL
        too_large = self.content_length >= self.adj.max_request_body_size  # which waitress says
        return self.body_rcv is not None and large and not too_large and not self._wants_body(self.environ())

    def _end_connection(self) -> None:
        self.connection_close = True
        self.headers["CONNECTION"] = "close"

    def _check_body(self, receiver: Any) -> None:
        taken = max(0, self.body_bytes_received - SMALL) - self._held  # a small body always has room
        self._held += taken
        if not self._room.take(taken):
            self.error = Full("")
            self.close()  # makes room at once, for those that are further
            self.body_rcv = None
        elif self.chunked and not self.completed and len(receiver.control_line + receiver.trailer) > LINE:
            self.error = BadRequest("")
        if self.error:
            self.completed = True

    def _give_back(self) -> None:
        held, self._held = self._held, 0
        if held:
            self._room.give(held)
