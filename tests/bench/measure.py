"""Run loops in turn or in parallel, and measure times and threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

from bench.loops import Loop, LoopResult


def medians(loops: Mapping[str, Loop], question: Callable[[object], str], repeat: int) -> dict[str, float]:
    """Return each loop's median seconds. The loops take turns; if `repeat` > 1, a first request is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(-1 if repeat > 1 else 0, repeat):
        for index, (name, loop) in enumerate(loops.items()):
            result = loop(question(f"{index}.{turn + 1}"))
            if result.error:
                raise RuntimeError(f"{name} failed: {result.error}")
            if turn >= 0:
                seconds[name].append(result.seconds)
    return {name: median(values) for name, values in seconds.items()}


def run_parallel(loop: Loop, questions: Sequence[str], clients: int) -> list[LoopResult]:
    """Ask all questions, with this many threads."""
    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(loop, questions))


@contextmanager
def most_threads(*, clients: int) -> Iterator[list[int]]:
    """Count threads within the block; afterwards the list has the largest number, without the threads before it.

    Args:
        clients: threads of the benchmark, which are not counted either.

    """
    before = threading.active_count()
    result: list[int] = []
    most = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.005):
            most = max(most, threading.active_count())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield result
    finally:
        done.set()
        watcher.join()
        result.append(max(0, most - before - clients - 1))
