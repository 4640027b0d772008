"""A request that is worked on while its client is told how it goes on."""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from optillm_cerebras_cepo.chat import Listener
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import CepoError, Ended
from optillm_cerebras_cepo.events import Called, Event, Observer
from optillm_cerebras_cepo.host import progress
from optillm_cerebras_cepo.host.hangup import CLIENTS
from optillm_cerebras_cepo.host.served import Watcher
from optillm_cerebras_cepo.runtime import Solved


@dataclass(frozen=True)
class Piece:
    """What a chunk of the model's reply adds to the answer: `content`, `reasoning` or `tool_calls`."""

    delta: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Pause:
    """Nothing happened for a while."""


logger = logging.getLogger("optillm_cerebras_cepo")

News = Event | Piece | Pause | Solved | CepoError


class Work:
    """One request: done where its `result` is waited for, or begun on a thread of its own for who asks for the news.

    Args:
        solve: answers it. It is given the observer and the listener; what it raises is its end.
        deadline: the request's; giving the work up ends it.
        watcher: hears of all that happens, beside whoever asks for the news.

    """

    def __init__(
        self,
        solve: Callable[[Observer, Listener], Solved],
        deadline: Deadline,
        watcher: Watcher | None = None,
    ) -> None:
        self._solve = solve
        self._end: Callable[[CepoError | None], object] = deadline.end
        self._watcher = watcher
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self._tell: Callable[[News], None] = lambda _: None
        self._aborted: list[Called] = []

    def begin(self) -> None:
        """Work on a thread of its own, and keep all `news`."""
        self._tell = self._news.put
        try:
            threading.Thread(target=self._run_alone, name="cepo-cerebras-request", daemon=True).start()
        except RuntimeError:  # the system has no thread to give: all that was begun for this request has to end, too
            self._end(CepoError("the server has no thread left for this request; try again later"))
            self._run_alone()

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

    def result(self, hung_up: Callable[[], bool]) -> Solved:
        """Work here, to the end. Raises the CepoError that there is instead; it is given up when nobody waits."""
        # On the caller's thread: to start another takes a direct call as long as all that is done for it here.
        # Without its context: a connection to the API keeps that in which it was made, and with it Flask's request.
        with CLIENTS.watched(hung_up, self.give_up):
            result = Context().run(self._run)
        if isinstance(result, Solved):
            return result
        try:
            raise result
        finally:
            del result  # or its trace would hold this frame, and this frame the error

    def give_up(self) -> None:
        """Start no further call, and give up those in flight. Nothing, when the work is done."""
        self._end(Ended("the client hung up"))

    def _observe(self, event: Event) -> None:
        if isinstance(event, Called) and isinstance(event.error, Ended):
            self._aborted.append(event)
        progress.log(event, self._watcher.request_id if self._watcher else None)
        if self._watcher:
            self._watcher.heard(event)
        self._tell(event)

    def _run(self) -> Solved | CepoError:
        """Return the result, which whoever reads the news is told in any case: else they would wait for ever."""
        result: Solved | CepoError = CepoError("cepo_cerebras was interrupted")
        try:
            result = self._outcome()
            if self._watcher:
                self._watcher.ended(result)
        finally:
            # Both have the deadline, which knows what has ended it, and that may be this result.
            self._end = lambda _: None
            del self._solve
            self._tell(result)
        return result

    def _run_alone(self) -> None:
        try:
            self._run()
        except BaseException as error:  # whoever reads the news has been told; Python would log the error's own words
            defect(error)

    def _outcome(self) -> Solved | CepoError:
        try:
            return self._solve(self._observe, lambda delta: self._tell(Piece(delta)))
        except KeyboardInterrupt:  # of the main thread: whoever presses Ctrl-C waits for no answer
            raise
        except BaseException as error:  # a library's SystemExit is a defect of one request, not the server's end
            if isinstance(error, Ended):  # nobody else ends a request in the middle
                logger.info("cepo_cerebras: %s", left(error.spent, len(self._aborted)))
            return bare(error) if isinstance(error, CepoError) else defect(error)


def bare(error: CepoError) -> CepoError:
    """Return the error without its trace: the frames in it hold the question, and now and then the error itself."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def left(spent: Mapping[str, int], aborted: int) -> str:
    """Say what a client has cost that hung up: calls, those in flight among them, and tokens of whole replies."""
    calls, prompt, completion = (spent.get(name, 0) for name in ("calls", "prompt_tokens", "completion_tokens"))
    return (
        f"the client hung up; {calls} calls were made, {aborted} of them aborted in flight, "
        f"and {prompt} + {completion} tokens spent"
    )


def defect(error: BaseException) -> CepoError:
    """Log a defect of ours. Its own message may quote a prompt: only its kind and place are told."""
    name = type(error).__name__
    logger.error("cepo_cerebras: defect: %s\n%s", name, "".join(traceback.format_tb(error.__traceback__)))
    return CepoError(f"cepo_cerebras failed with an internal error ({name}); the server's log says where")
