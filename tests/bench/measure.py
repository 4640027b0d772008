"""Running loops one after the other or side by side, and what their times come to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

from bench.loops import Answered, Loop


def medians(loops: Mapping[str, Loop], ask: Callable[[object], str], repeat: int) -> dict[str, float]:
    """Median seconds of each loop. They take turns; where there are several, the first of each is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(-1 if repeat > 1 else 0, repeat):
        for index, (name, loop) in enumerate(loops.items()):
            answered = loop(ask(f"{index}.{turn + 1}"))
            if answered.error:
                raise RuntimeError(f"{name} failed: {answered.error}")
            if turn >= 0:
                seconds[name].append(answered.seconds)
    return {name: median(found) for name, found in seconds.items()}


def simultaneously(loop: Loop, questions: Sequence[str], at_once: int) -> list[Answered]:
    """Ask all questions, so many at a time, as the threads of a server would."""
    with ThreadPoolExecutor(at_once) as clients:
        return list(clients.map(loop, questions))


@contextmanager
def most_threads(*, clients: int) -> Iterator[list[int]]:
    """Within the block, watch the threads; after it the list holds the most that ran, without what was there before.

    Args:
        clients: threads of the benchmark's own that are not counted either.

    """
    before = threading.active_count()
    found: list[int] = []
    most = 0
    over = threading.Event()

    def watch() -> None:
        nonlocal most
        while not over.wait(0.005):
            most = max(most, threading.active_count())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()
        found.append(max(0, most - before - clients - 1))
