"""A request that is worked on while its client is told how it goes on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import CepoError
from optillm_cerebras_cepo.events import Event
from optillm_cerebras_cepo.host import progress
from optillm_cerebras_cepo.runtime import Solved


@dataclass(frozen=True)
class Piece:
    """What a chunk of the model's reply adds to the answer: `content`, `reasoning` or `tool_calls`."""

    delta: Mapping[str, Any]


@dataclass(frozen=True)
class Pause:
    """Nothing happened for a while."""


News = Event | Piece | Pause | Solved | CepoError


class Work:
    """One request on a thread of its own.

    Args:
        solve: answers it. It is given the observer and the listener; raises CepoErrors only.
        deadline: the request's; giving the work up ends it.

    """

    def __init__(
        self,
        solve: Callable[[Callable[[Event], None], Callable[[Mapping[str, Any]], None]], Solved],
        deadline: Deadline,
    ) -> None:
        self._solve = solve
        self._deadline = deadline
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="cepo-cerebras-request", daemon=True).start()

    def news(self, pause: float) -> Iterator[News]:
        """All that happens, in order; the last is the Solved or the CepoError. A Pause after each so many seconds."""
        while True:
            try:
                news = self._news.get(timeout=pause)
            except queue.Empty:
                news = Pause()
            yield news
            if isinstance(news, Solved | CepoError):
                return

    def give_up(self) -> None:
        """Start no further call, and give up those in flight. Nothing, when the work is done."""
        self._deadline.end()

    def _observe(self, event: Event) -> None:
        progress.log(event)
        self._news.put(event)

    def _run(self) -> None:
        try:
            self._news.put(self._solve(self._observe, lambda delta: self._news.put(Piece(delta))))
        except CepoError as error:
            self._news.put(error)
