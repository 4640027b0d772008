"""How a request is shown while it runs: a live table in a terminal, plain lines elsewhere, or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live

from optillm_cerebras_cepo.ask.screen import Screen, answer, stage, summary
from optillm_cerebras_cepo.ask.updates import Reply
from optillm_cerebras_cepo.trace.text import kind_of, name, safe, what

try:
    import termios
except ImportError:  # on Windows
    termios = None  # type: ignore[assignment]

FRAMES = 8  # a second
NewEntries = Mapping[str, Mapping[str, Any]]


class View:
    """Shows one request within a `with` block; this one shows nothing."""

    def __enter__(self) -> View:
        """Begin."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop, with an answer or without."""

    def show(self, entries: NewEntries) -> None:
        """Show new entries of the live trace."""

    def end(self, reply: Reply) -> None:
        """Show the answer."""


class LiveView(View):
    """A table that is drawn anew while the request runs; then the answer.

    Args:
        console: where it is shown.
        screen: what is shown.
        texts: whether each step's text is shown as it arrives.

    """

    def __init__(self, console: Console, screen: Screen, *, texts: bool) -> None:
        self._console = console
        self._screen = screen
        self._texts = texts
        self._live = Live(console=console, get_renderable=lambda: screen, refresh_per_second=FRAMES)
        self._terminal = ExitStack()
        self._reply: Reply | None = None

    def __enter__(self) -> View:
        """Begin to draw."""
        self._terminal.enter_context(_without_echo())
        self._live.start(refresh=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Draw the last state, and the answer below it."""
        self._live.stop()
        self._terminal.close()
        if self._reply is not None:
            self._console.print(answer(self._reply))

    def show(self, entries: NewEntries) -> None:
        """Show the text of a call that has ended; the table is drawn in any case."""
        call = entries.get("calls", {})
        if self._texts and call.get("text"):
            self._live.console.print(stage(call))

    def end(self, reply: Reply) -> None:
        """Keep the answer for the end."""
        self._screen.end(reply.account)
        self._reply = reply


@contextmanager
def _without_echo() -> Iterator[None]:
    """Keep what is typed within the block off the screen: it would move the table that is drawn there."""
    # A background job would be stopped for changing the terminal.
    if termios is None or not sys.stdin.isatty() or os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    silent = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


class PlainView(View):
    """A line for each call that has ended, each wait and each decision; then the answer.

    Args:
        tell: shows a line of progress.
        say: shows the answer.
        texts: whether each step's text is shown as it arrives.

    """

    def __init__(self, tell: Callable[[str], None], say: Callable[[str], None], *, texts: bool) -> None:
        self._tell = tell
        self._say = say
        self._texts = texts

    def show(self, entries: NewEntries) -> None:
        """Show a line for each entry."""
        for kind, entry in entries.items():
            if kind == "events":
                self._tell(safe(entry["message"]))
            elif kind == "waits":
                self._tell(safe(f"{name(entry)}: {what(entry, 'wait')}"))
            elif kind == "calls" and "seconds" in entry:
                self._tell(safe(f"{name(entry)}: {what(entry, kind_of(entry))}"))
                if self._texts and entry.get("text"):
                    self._tell(safe(entry["text"]))

    def end(self, reply: Reply) -> None:
        """Show the answer, and what it took."""
        for label, field in (("left out", "degraded"), ("changed", "fitted")):
            for line in reply.account.get(field, ()):
                self._tell(f"{label}: {safe(line)}")
        self._tell(summary(reply))
        self._say(reply.text)


class QuietView(View):
    """Nothing but the answer, which `say` shows."""

    def __init__(self, say: Callable[[Reply], None]) -> None:
        self._say = say

    def end(self, reply: Reply) -> None:
        """Show the answer."""
        self._say(reply)
