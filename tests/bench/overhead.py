"""What our own code costs, without the model's time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.api import Api, simulated
from bench.loops import MODEL, easy, optillm_loop, our_loop, sdk_client
from bench.page import Claim, Section, table

TEXT = """\
An API that answers at once, in a process of its own, one request at a time, medians of {count} requests that take
turns. *CPU of a call* is the processor time of the process that runs the loop, all its threads, divided by the
calls; neither the simulated API is in it nor the process that compares formulas for voting. *Wall* is what one
request takes from the call of the loop to its answer, and in it is the simulated API's own time: about as much for
a call as the bare SDK needs.

{rows}

A request of effort `none` is one call, and what ours adds to the bare SDK's call is the difference of the first two
rows. What a planned request adds to its calls' own time stands in the section on waiting: the seconds beyond its
critical path."""


def run(pictures: Path, quick: bool) -> Section:
    """Measure the bare SDK, a direct answer, and both loops."""
    del pictures
    count = 3 if quick else 25
    with simulated() as api:
        sdk = sdk_client(api.url)

        def bare(question: str) -> object:
            return sdk.chat.completions.create(messages=[{"role": "user", "content": question}], model=MODEL)

        loops: dict[str, tuple[Callable[[str], object], int]] = {
            "one bare call of the SDK": (bare, 1),
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
        Claim("CPU of a call, effort `medium`", "≤ 3 ms", f"{planned:.2f} ms", planned <= 3),
        Claim("a request of effort `none`, API that answers at once", "≤ 10 ms", f"{direct:.1f} ms", direct <= 10),
    ]
    head = ["", "calls", "CPU of a call (ms)", "wall of a request (ms)"]
    return Section("What our own code costs", TEXT.format(count=count, rows=table(head, rows)), () if quick else claims)


def _calls(api: Api, loop: Callable[[str], object]) -> int:
    """How many calls a request takes; after it connections are open and lengths on their way to be known."""
    api.clear()
    loop(easy("counted"))
    return len(api.calls())
