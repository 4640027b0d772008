"""Compare formulas in a child process, with a time limit that works in any thread.

math_verify's own time limit is an alarm signal, which works in the main thread only. So the algebra runs in a child
process (`algebra.py`). One child serves all threads. It is started on first use, and ended when it does not answer in
time or when the program exits. A thread communicates with it, so that a caller can stop waiting. The child shares no
memory with the server, so neither sympy's caches nor a huge number can harm the server.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import subprocess
import sys
import threading
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field

from optillm_cerebras_cepo.core.environment import child_environment

PROGRAM = "optillm_cerebras_cepo.voting.algebra"
START_SECONDS = 60.0  # until the child is ready: importing sympy takes 1 to 2 s on an idle machine
ANSWER_SECONDS = 5.0  # for one comparison; the child itself gives up after one second of CPU time
REMEMBERED = 512  # results


@dataclass
class _Question:
    """Two formulas in order, and the future result; without formulas it only starts the child."""

    pair: tuple[str, str] | None = None
    answer: Future[bool | None] = field(default_factory=Future)


class Equivalence:
    """Comparison of formulas by a child process. Thread-safe.

    Each comparison is a future, so a caller may stop waiting for it. Results are remembered. The result is None if the
    time was up, or if no child could be started.
    """

    def __init__(self, program: str = PROGRAM) -> None:
        self._program = program
        self._lock = threading.Lock()  # held for look-ups only
        self._known: OrderedDict[tuple[str, str], bool | None] = OrderedDict()
        self._worker: _Worker | None = None

    def start(self) -> None:
        """Start the child without waiting for it, so that it is ready when it is needed. Optional."""
        if self.pid is None:
            self._put(_Question())

    def close(self) -> None:
        """End the child and wait for its end. Open comparisons return None. A later one starts another child."""
        with self._lock:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def forget(self) -> None:
        """Reset in a forked process: child and thread belong to the parent, and a thread there may hold the lock."""
        self._lock, self._worker = threading.Lock(), None

    @property
    def pid(self) -> int | None:
        """The child's process id; None without a child."""
        worker = self._worker
        return worker.pid if worker else None

    def __call__(self, one: str, other: str) -> bool | None:
        """Return whether two formulas, LaTeX or plain, are equal. Wait for the result."""
        return self.submit(one, other).result()

    def submit(self, one: str, other: str) -> Future[bool | None]:
        """Compare two formulas. A comparison that is cancelled before its turn is skipped."""
        pair = (one, other) if one <= other else (other, one)
        question = _Question(pair)
        with self._lock:
            if pair in self._known:
                self._known.move_to_end(pair)
                question.answer.set_result(self._known[pair])
                return question.answer
        question.answer.add_done_callback(lambda answer: self._remember(pair, answer))
        self._put(question)
        return question.answer

    def _put(self, question: _Question) -> None:
        with self._lock:
            if self._worker is None:
                self._worker = _Worker(self._program)
            self._worker.questions.put(question)

    def _remember(self, pair: tuple[str, str], answer: Future[bool | None]) -> None:
        if answer.cancelled():
            return
        with self._lock:
            self._known[pair] = answer.result()
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)


class _Worker:
    """Thread that sends one comparison after another to a child process."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._child: subprocess.Popen[str] | None = None
        self._ready = False
        self._closed = False
        self.questions: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="cepo-cerebras-algebra", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        child = self._child
        return child.pid if child else None

    def close(self) -> None:
        """Let open comparisons return None, end the child, and wait for thread and child."""
        self._closed = True
        self.questions.put(None)
        child = self._child
        if child is not None:
            child.kill()  # or the thread would wait for its answer
        self._thread.join()

    def _work(self) -> None:
        while (question := self.questions.get()) is not None:
            if question.pair is None:
                self._started()
            elif question.answer.set_running_or_notify_cancel():  # somebody still waits for it
                question.answer.set_result(self._answer(question.pair))
        self._end()

    def _answer(self, pair: tuple[str, str]) -> bool | None:
        try:
            return self._ask(pair)
        except Exception:  # a text that cannot be sent, or an invalid reply: continue with the next comparison
            self._end()
            return None

    def _ask(self, pair: tuple[str, str]) -> bool | None:
        child = self._started()
        if child is None:
            return None
        if not self._ready:
            self._ready = self._line(child, START_SECONDS) == "ready"
        if self._ready and self._told(child, pair):
            answer = self._line(child, ANSWER_SECONDS)
            if answer:
                return {"true": True, "false": False}.get(answer)
        self._end()
        return None

    def _started(self) -> subprocess.Popen[str] | None:
        if self._closed:
            return None
        if self._child is None:
            try:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", self._program],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    encoding="utf-8",
                    env=child_environment(os.environ, sys.path),
                )
            except OSError:  # no process can be started: formulas are not compared
                return None
            self._ready = False
            if self._closed:  # in the meantime
                self._child.kill()
        return self._child

    @staticmethod
    def _told(child: subprocess.Popen[str], pair: tuple[str, str]) -> bool:
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps(pair) + "\n")
            child.stdin.flush()
        except OSError:  # it has ended by itself
            return False
        return True

    @staticmethod
    def _line(child: subprocess.Popen[str], seconds: float) -> str:
        """Return the child's next line; empty if it ends, or is killed after these seconds, before it writes one."""
        assert child.stdout is not None
        clock = threading.Timer(seconds, child.kill)
        clock.daemon = True
        clock.start()
        try:
            return child.stdout.readline().strip()
        finally:
            clock.cancel()

    def _end(self) -> None:
        child, self._child, self._ready = self._child, None, False
        if child is not None:
            child.kill()
            child.communicate()  # closes the pipes and waits, so that no zombie is left


equal_formulas = Equivalence()
atexit.register(equal_formulas.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=equal_formulas.forget)
