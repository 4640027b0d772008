"""Many simultaneous requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from bench.api import simulated
from bench.figures import percentile
from bench.loops import Loop, easy, optillm_loop, our_loop
from bench.measure import most_threads, run_parallel
from bench.page import Claim, Section, table
from bench.pictures import OPTILLM, OURS, canvas, save
from optillm_cerebras_cepo.runtime import REQUESTS as PLANNED

SECONDS = 0.2  # per call
CLIENTS = (1, 2, 4, 8, 16, 32, 64)
LEAST = 2  # smallest number of requests

TEXT = """\
Simultaneous clients that each send one request after another, on an API without limits; calls take {seconds:g} s,
ratings too. Our loop makes at most 64 calls at the same time (`CEPO_CEREBRAS_CONCURRENCY`), OptiLLM's has no limit,
which is an advantage on this unlimited API. From about 16 clients on, the processor limits both; the simulated API
shares it. *Threads* is the largest number of simultaneous threads without the clients' own.

{rows}

{picture}

At most 32 requests are planned at the same time, others wait, so the threads never exceed 32 times those of one
request."""


@dataclass(frozen=True)
class Level:
    """Results of one loop with this many clients."""

    clients: int
    rate: float
    seconds: Sequence[float]
    threads: int


def run(pictures: Path, quick: bool) -> Section:
    """Measure both loops with 1 to 32 clients, and ours with 64."""
    numbers = (1, 4) if quick else CLIENTS
    call = 0.02 if quick else SECONDS
    optillm: list[Any] = []
    ours: list[Any] = []
    with simulated(seconds=call) as api:
        loops = {"OptiLLM": (optillm_loop(api.url), optillm), "ours": (our_loop(api.url), ours)}
        for loop, _ in loops.values():
            loop(easy("warm"))
        for clients in numbers:
            for name, (loop, levels) in loops.items():
                if name == "ours" or clients <= 32:
                    levels.append(_level(loop, clients, f"{name}-{clients}"))
    rows = []
    for clients in numbers:
        for name, (_, levels) in loops.items():
            rows += [
                [clients, name, f"{level.rate:.1f}", f"{mean(level.seconds):.2f}",
                 f"{percentile(level.seconds, 0.95):.2f}", level.threads]
                for level in levels if level.clients == clients
            ]  # fmt: skip
    head = ["clients", "", "requests/s", "mean (s)", "95th percentile (s)", "threads"]
    text = TEXT.format(seconds=call, rows=table(head, rows), picture=_draw(optillm, ours, pictures))
    bound = PLANNED * ours[0].threads
    measured = ", ".join(f"{level.threads} at {level.clients}" for level in ours[-2:])
    within = all(level.threads <= bound for level in ours)
    bounded = Claim(f"threads at any load, at most those of {PLANNED} requests", f"≤ {bound}", measured, within)
    return Section("1 to 64 simultaneous requests", text, () if quick else (bounded,))


def _level(loop: Loop, clients: int, name: str) -> Level:
    questions = [easy(f"{name}.{number}") for number in range(max(LEAST, clients))]
    with most_threads(clients=clients) as threads:
        started = time.monotonic()
        results = run_parallel(loop, questions, clients)
        took = time.monotonic() - started
    if any(one.answer is None for one in results):
        raise RuntimeError(f"{name}: not all requests were answered")
    return Level(clients, len(questions) / took, [one.seconds for one in results], threads[0])


def _draw(optillm: Sequence[Level], ours: Sequence[Level], pictures: Path) -> str:
    figure, (left, right) = canvas(8, 3, ncols=2)
    for levels, name, colour, mark in ((optillm, "OptiLLM", OPTILLM, "s--"), (ours, "ours", OURS, "o-")):
        numbers = [level.clients for level in levels]
        left.plot(numbers, [mean(level.seconds) for level in levels], mark, color=colour, label=name)
        right.plot(numbers, [level.threads for level in levels], mark, color=colour, label=name)
    left.set_ylabel("mean seconds of a request")
    right.set_ylabel("threads")
    for axes in (left, right):
        axes.set_xscale("log", base=2)
        axes.set_xticks(numbers, [str(number) for number in numbers])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("simultaneous requests")
        axes.legend()
    return save(figure, pictures, "load", "mean time of a request and threads, with 1 to 64 simultaneous requests")
