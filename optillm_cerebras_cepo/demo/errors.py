"""What the demo says when it cannot go on."""

from __future__ import annotations

from collections.abc import Iterable


class DemoError(Exception):
    """The demo cannot go on; the message is one line that says what happened or what to do.

    Attributes:
        details: what the process at fault wrote last, oldest first.

    """

    def __init__(self, message: str, details: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)
