"""Compare formulas in child processes, with a limit of time and memory for each comparison.

Algebra may never end, and math_verify's own time limit is an alarm signal, which works in the main thread only. So a
child process (`algebra_child.py`) does it. It imports math_verify once, and forks for each comparison: several run at
once, a quick one does not wait for slow ones, and what runs out of time is killed. The children share no memory with
the server, so neither sympy's caches nor a huge number can harm it.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count

from optillm_cerebras_cepo.core.environment import child_environment

PROGRAM = "optillm_cerebras_cepo.voting.algebra_child"
CPU_SECONDS = 1.0  # for one comparison; CPU time, so that a busy machine changes no result
AT_ONCE = 16  # comparisons; others wait
START_SECONDS = 60.0  # until the child is ready: importing sympy takes half a second on an idle machine
SILENT_SECONDS = 60.0  # without any result while some are expected; then the child is replaced
PAUSE_SECONDS = 60.0  # after a child that ended before it was ready; until then formulas are not compared
REMEMBERED = 512  # results

Pair = tuple[str, str]
logger = logging.getLogger("optillm_cerebras_cepo")


class Equivalence:
    """Comparison of formulas by child processes. Thread-safe.

    Each comparison is a future, so a caller may stop waiting for it. Results are remembered. The result is None if the
    time was up, or if no child could be started.
    """

    def __init__(self, program: str = PROGRAM, cpu_seconds: float = CPU_SECONDS) -> None:
        self._command = [sys.executable, "-m", program, str(cpu_seconds)]
        self._lock = threading.Lock()  # held for look-ups and the start of a process
        self._known: OrderedDict[Pair, bool | None] = OrderedDict()
        self._child: _Child | None = None

    def start(self) -> None:
        """Start the child without waiting for it, so that it is ready when it is needed. Optional."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """End the child and wait for its end. Open comparisons return None. A later one starts another child."""
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            child.close()

    def forget(self) -> None:
        """Reset in a forked process: child and thread belong to the parent, and a thread there may hold the lock."""
        self._lock, self._child = threading.Lock(), None

    @property
    def pid(self) -> int | None:
        """The child's process id; None without a child."""
        child = self._child
        return child.pid if child and not child.ended else None

    def __call__(self, one: str, other: str) -> bool | None:
        """Return whether two formulas, LaTeX or plain, are equal. Wait for the result."""
        return self.submit(one, other).result()

    def submit(self, one: str, other: str) -> Future[bool | None]:
        """Compare two formulas. A comparison that is cancelled before its turn is skipped."""
        pair = (one, other) if one <= other else (other, one)
        answer: Future[bool | None] = Future()
        with self._lock:
            if pair in self._known:
                self._known.move_to_end(pair)
                answer.set_result(self._known[pair])
                return answer
            child = self._running()
        if child is None:
            answer.set_result(None)
        else:
            child.compare(pair, answer)
        return answer

    def _running(self) -> _Child | None:
        """Return the child; a new one if there is none, None if the machine starts no process."""
        if self._child is None or (self._child.ended and time.monotonic() >= self._child.replaced_from):
            try:
                self._child = _Child(self._command, self._remember)
            except OSError:  # formulas are not compared
                self._child = None
        return self._child

    def _remember(self, pair: Pair, result: bool | None) -> None:
        with self._lock:
            self._known[pair] = result
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)


class _Child:
    """A child process, the comparisons that it has not answered, and the thread that reads its answers.

    Raises OSError if the process cannot be started.
    """

    def __init__(self, command: list[str], remember: Callable[[Pair, bool | None], None]) -> None:
        self._remember = remember
        self._lock = threading.Lock()
        self._numbers = count(1)
        self._waiting: deque[tuple[Pair, Future[bool | None]]] = deque()
        self._asked: dict[int, tuple[Pair, Future[bool | None]]] = {}
        self._ready = False
        self._closing = False
        self.ended = False
        self.replaced_from = 0.0  # by time.monotonic()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=child_environment(os.environ, sys.path),
            start_new_session=True,  # one signal ends it with its own children, and Ctrl-C reaches none of them
        )
        self.pid = self._process.pid
        self._clock = self._wound(START_SECONDS)
        self._reader = threading.Thread(target=self._read, name="cepo-cerebras-algebra", daemon=True)
        self._reader.start()

    def compare(self, pair: Pair, answer: Future[bool | None]) -> None:
        """Set the future to the result of a comparison."""
        with self._lock:
            if not self.ended:
                self._waiting.append((pair, answer))
                self._send()
                return
        answer.set_result(None)

    def close(self) -> None:
        """End the process, let open comparisons return None, and wait for both."""
        self._closing = True
        self._kill()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            for line in self._process.stdout:
                self._take(line.decode().split())
        except (ValueError, LookupError):  # not a line of ours: the child is replaced
            pass
        finally:
            self._end()

    def _take(self, words: list[str]) -> None:
        """Take one line of the child: that it is ready, or the number of a comparison and its result as JSON."""
        with self._lock:
            if words == ["ready"]:
                self._ready = True
                taken = None
            else:
                number, result = (json.loads(word) for word in words)
                taken = self._asked.pop(number, None)  # None: it was killed after its answer, and answered for again
            self._send()
            self._clock.cancel()
            if self._asked:
                self._clock = self._wound(SILENT_SECONDS)
        if taken is not None:
            pair, answer = taken
            self._remember(pair, result)
            answer.set_result(result)

    def _send(self) -> None:
        """Send what waits, as far as AT_ONCE allows. The lines fit into the pipe, so this does not block."""
        assert self._process.stdin is not None
        while self._waiting and len(self._asked) < AT_ONCE:
            pair, answer = self._waiting.popleft()
            if not answer.set_running_or_notify_cancel():  # nobody waits for it
                continue
            if self._ready and not self._asked:
                self._clock = self._wound(SILENT_SECONDS)
            number = next(self._numbers)
            self._asked[number] = pair, answer
            try:
                self._process.stdin.write(_line(number, pair))
                self._process.stdin.flush()
            except OSError:  # it has ended: the reader sees it too
                return

    def _wound(self, seconds: float) -> threading.Timer:
        clock = threading.Timer(seconds, self._kill)
        clock.daemon = True
        clock.start()
        return clock

    def _kill(self) -> None:
        if self._process.returncode is not None:  # its id may be another's now
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (AttributeError, ProcessLookupError):  # Windows has no groups; or it has ended
            self._process.kill()

    def _end(self) -> None:
        if not self._ready and not self._closing:
            self.replaced_from = time.monotonic() + PAUSE_SECONDS
            logger.warning(
                "formulas are not compared for %g s: their child process ended before it was ready; "
                "`python -m %s 1` shows why",
                PAUSE_SECONDS,
                PROGRAM,
            )
        with self._lock:
            self.ended = True
            left = [answer for _, answer in self._asked.values()]
            left += [answer for _, answer in self._waiting if answer.set_running_or_notify_cancel()]
            self._asked.clear()
            self._waiting.clear()
            self._clock.cancel()
        self._kill()
        self._process.communicate()  # closes the pipes and waits, so that no zombie is left
        for answer in left:
            answer.set_result(None)


def _line(number: int, pair: Pair) -> bytes:
    """Return a question as JSON in one line; its bytes are few, so that AT_ONCE of them fit into a pipe."""
    return json.dumps([number, *pair], ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"


equal_formulas = Equivalence()
atexit.register(equal_formulas.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=equal_formulas.forget)
