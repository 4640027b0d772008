"""Processor time and latency of our code, without the model's time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.api import Api, simulated
from bench.loops import MODEL, easy, optillm_loop, our_loop, sdk_client
from bench.page import Claim, Section, table

TEXT = """\
An API in another process that answers immediately, one request at a time, medians of {count} requests; the loops take
turns. *CPU per call* is the processor time of all threads of the loop's process, divided by the calls; it excludes the
simulated API and the process that compares formulas for voting. *Wall time* is the time of a request, including that of
the simulated API, which for each call is about that of a call by the SDK alone.

{rows}

A request of effort `none` is one call; the difference of the first two rows is our overhead. The section on the
duration of requests shows the overhead of planned requests, as seconds beyond the critical path."""


def run(pictures: Path, quick: bool) -> Section:
    """Measure the bare SDK, a direct answer, and both loops."""
    del pictures
    count = 3 if quick else 25
    with simulated() as api:
        sdk = sdk_client(api.url)

        def bare(question: str) -> object:
            return sdk.chat.completions.create(messages=[{"role": "user", "content": question}], model=MODEL)

        loops: dict[str, tuple[Callable[[str], object], int]] = {
            "one call by the SDK alone": (bare, 1),
            "ours, `none`": (our_loop(api.url, effort="none"), 1),
            "ours, `medium`": (our_loop(api.url), _calls(api, our_loop(api.url))),
            "OptiLLM's default": (optillm_loop(api.url), _calls(api, optillm_loop(api.url))),
        }
        wall: dict[str, list[float]] = {name: [] for name in loops}
        used: dict[str, list[float]] = {name: [] for name in loops}
        for turn in range(count):
            for index, (name, (loop, calls)) in enumerate(loops.items()):
                for again in range(4 if calls == 1 else 1):
                    question = easy(f"{index}.{turn}.{again}")
                    cpu, started = time.process_time(), time.perf_counter()
                    loop(question)
                    wall[name].append((time.perf_counter() - started) * 1000)
                    used[name].append((time.process_time() - cpu) * 1000 / calls)
    rows = [
        [name, calls, f"{median(used[name]):.2f}", f"{median(wall[name]):.1f}"] for name, (_, calls) in loops.items()
    ]
    direct, planned = median(wall["ours, `none`"]), median(used["ours, `medium`"])
    claims = [
        Claim("CPU per call, effort `medium`", "≤ 3 ms", f"{planned:.2f} ms", planned <= 3),
        Claim("wall time of a request of effort `none`", "≤ 10 ms", f"{direct:.1f} ms", direct <= 10),
    ]
    head = ["", "calls", "CPU per call (ms)", "wall time per request (ms)"]
    return Section("Overhead of our code", TEXT.format(count=count, rows=table(head, rows)), () if quick else claims)


def _calls(api: Api, loop: Callable[[str], object]) -> int:
    """Return the number of calls of a request. It also opens connections and learns lengths."""
    api.clear()
    loop(easy("counted"))
    return len(api.calls())
