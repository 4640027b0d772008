"""Child process that compares formulas (`algebra.py`), each comparison within its limits of time and memory.

`algebra_process.py` starts it, with the seconds of CPU time for one comparison as argument. Each line of input is an
array in JSON: a number and two formulas. Each line of output is that number and `true`, `false`, or `null` if the time
was up; the first line is `ready`.

The process forks for each comparison, which takes milliseconds and little memory. A system without forks (Windows)
compares one pair after the other, without limits.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import select
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

WALL_SECONDS = 60  # then the kernel ends a comparison, even on a busy machine, and even if nobody waits for it any more
MEMORY = 384 << 20  # bytes of address space for a comparison; 65 MB are taken when it begins. More raises MemoryError
QUICK_SECONDS = 0.03  # of CPU time; a comparison that takes longer gives way to others, and to the server
# The parser learns from what it reads. What it has learnt when it forks makes a comparison more than twice as fast.
LESSONS = (
    r"\frac{60\pi}{2}", r"2\cos x\sin x", r"\frac{1}{\sqrt{2}}", r"1-\cos^2 x", r"\tan\frac{\pi}{3}", "3^{1/2}", "3.25",
    r"\pi\cdot 30", r"\sqrt{2}+x^{2}", r"2\pi r^2", r"3\sin(2x)-\ln(y)", "e^{x}(x-1)(2y+3)", r"(-\infty,3]", "y=2x+3",
    r"\{1,-2\}", r"\frac{n!}{k!(n-k)!}", r"\binom{n}{k}\cdot 2^{n-1}", r"\begin{pmatrix}1\\2\end{pmatrix}", "|x|", "n!",
    "x_{1}",
)  # fmt: skip


Equal = Callable[[str, str], bool]


class Comparisons:
    """Comparisons that run, each in a process forked from this one."""

    def __init__(self, equal: Equal, cpu_seconds: float) -> None:
        self._equal = equal
        self._cpu_seconds = cpu_seconds
        self._running: dict[int, int] = {}  # process id → number of the comparison
        signal.signal(signal.SIGCHLD, self._take_ended)

    def begin(self, number: int, one: str, other: str) -> None:
        """Begin a comparison, and return."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # until the process id is noted
        try:
            process = os.fork()
        except OSError:  # no process left
            _answer(number, None)
        else:
            if process == 0:
                try:
                    self._limit()
                    _compare(self._equal, number, one, other)
                    os._exit(0)
                finally:
                    os._exit(1)  # after an exception; never back into the loop of the parent
            self._running[process] = number
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

    def _take_ended(self, *_: Any) -> None:
        """Answer for the comparisons that were killed."""
        while self._running:
            process, status = os.waitpid(-1, os.WNOHANG)
            if process == 0:
                return
            number = self._running.pop(process)
            if status:
                _answer(number, None)

    def _limit(self) -> None:
        """Let the kernel end this process when its time is up, whatever it does, and bound its memory."""
        for name in (signal.SIGPROF, signal.SIGALRM):
            signal.signal(name, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, self._cpu_seconds)
        signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)
        signal.signal(signal.SIGVTALRM, lambda *_: os.nice(10))
        signal.setitimer(signal.ITIMER_VIRTUAL, QUICK_SECONDS)
        with contextlib.suppress(ImportError, ValueError, OSError):  # no such limit, or a lower one already
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))


def main() -> None:
    """Answer each line of standard input; learn while there is none."""
    gc.disable()  # collections take a fifth of the time of the import, and write to memory that processes share
    logging.disable(logging.CRITICAL)
    from optillm_cerebras_cepo.voting.algebra import equal

    forks = hasattr(os, "fork")
    begin = Comparisons(equal, float(sys.argv[1])).begin if forks else partial(_compare, equal)
    lessons = list(LESSONS) if forks else []
    _write("ready")
    with open(0, "rb", buffering=0) as questions:  # unbuffered, so that `select` sees each question
        while True:
            if lessons and not select.select([questions], [], [], 0)[0]:
                lesson = lessons.pop(0)
                with contextlib.suppress(Exception):  # nothing can be added to some of them
                    equal(lesson, f"{lesson}+0")
            elif line := questions.readline():
                begin(*json.loads(line))
            else:
                return


def _compare(equal: Equal, number: int, one: str, other: str) -> None:
    try:
        result = equal(one, other)
    except Exception:  # no formula, the algebra failed, or a number does not fit into memory
        result = False
    _answer(number, result)


def _answer(number: int, result: bool | None) -> None:
    _write(f"{number} {json.dumps(result)}")


def _write(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # at once: several processes write


if __name__ == "__main__":
    main()
