"""Processor time of this tree and of an older one, side by side: `make cpu OLD=folder`.

Both trees have their own environment (`make venv`). A process of each lives throughout, and they take turns with small
batches, because a machine's speed changes from second to second: each batch is compared with the one beside it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

THIS = Path(__file__).parents[2]
EFFORTS = {"none": 25, "medium": 5}
"""Efforts that are measured, and the requests of a batch."""

# It runs in both trees, so it uses only what both have: the benchmarks' simulated API and loops. It answers a line with
# an effort and a count by the processor milliseconds of a request.
MEASURE = """
import logging, sys, time
from itertools import count
from bench.api import simulated
from bench.loops import easy, our_loop
logging.disable(logging.INFO)  # OptiLLM logs each HTTP request
with simulated() as api:
    loops = {effort: our_loop(api.url, effort=effort) for effort in ("none", "medium")}
    numbers = count()
    for line in sys.stdin:
        effort, requests = line.split()
        started = time.process_time()
        for _ in range(int(requests)):
            loops[effort](easy(f"{effort}{next(numbers)}"))
        print(1000 * (time.process_time() - started) / int(requests), flush=True)
"""


class Tree:
    """Process that measures one tree."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def milliseconds(self, effort: str, requests: int) -> float:
        """Return the processor time of a request, as the mean of a batch."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{effort} {requests}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


@contextmanager
def running(folder: Path) -> Iterator[Tree]:
    """Run the measuring process of a tree within the block."""
    environ = os.environ | {"PYTHONPATH": f"{folder}:{folder / 'tests'}"}
    command = [str(folder / ".venv/bin/python"), "-c", MEASURE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, env=environ, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Tree(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def main() -> None:
    """Measure both trees in turn, and print the median times and the median and the quartiles of the ratios."""
    parser = argparse.ArgumentParser(prog="bench.cpu")
    parser.add_argument("--old", type=Path, required=True, help="checkout of the older tree")
    parser.add_argument("--batches", type=int, default=60)
    given = parser.parse_args()
    with running(given.old.resolve()) as old, running(THIS) as new:
        for effort, requests in EFFORTS.items():
            both: list[tuple[float, float]] = []
            for number in range(-3, given.batches):  # the first ones warm up
                # Each goes first as often.
                times = {tree: tree.milliseconds(effort, requests) for tree in ((old, new), (new, old))[number % 2]}
                if number >= 0:
                    both.append((times[old], times[new]))
            ratios = sorted(after / before for before, after in both)
            low, high = ratios[len(ratios) // 4], ratios[3 * len(ratios) // 4]
            before, after = (median(one) for one in zip(*both, strict=True))
            change = f"{median(ratios):.2f} × ({low:.2f} to {high:.2f})"
            print(f"{effort}: {before:.2f} ms before, {after:.2f} ms now, {change}")


if __name__ == "__main__":
    main()
