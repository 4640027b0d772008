"""Processor time of this tree and of an older one, side by side: `make cpu OLD=folder`.

Both trees have their own environment (`make venv`). Their processes take turns, because a machine's speed changes from
minute to minute; compare the ratios, not the milliseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from statistics import median

THIS = Path(__file__).parents[2]
# It runs in both trees, so it uses only what both have: the benchmarks' simulated API and loops.
MEASURE = """
import json, time
from bench.api import simulated
from bench.loops import easy, our_loop
with simulated() as api:
    used = {}
    for name, settings, count in (("none", {"effort": "none"}, 150), ("medium", {}, 40)):
        loop, used[name] = our_loop(api.url, **settings), []
        for number in range(-5, count):
            started = time.process_time()
            loop(easy(f"{name}{number}"))
            if number >= 0:
                used[name].append(time.process_time() - started)
print(json.dumps(used))
"""


def measure(tree: Path) -> dict[str, float]:
    """Return the median processor time in milliseconds of a request of each effort."""
    environ = os.environ | {"PYTHONPATH": f"{tree}:{tree / 'tests'}"}
    command = [str(tree / ".venv/bin/python"), "-c", MEASURE]
    done = subprocess.run(command, cwd=tree, env=environ, stdout=subprocess.PIPE, check=True, text=True)
    used = json.loads(done.stdout.splitlines()[-1])
    return {name: 1000 * median(seconds) for name, seconds in used.items()}


def main() -> None:
    """Measure both trees in turn, and print the medians of all rounds and their ratios."""
    parser = argparse.ArgumentParser(prog="bench.cpu")
    parser.add_argument("--old", type=Path, required=True, help="checkout of the older tree")
    parser.add_argument("--rounds", type=int, default=6)
    given = parser.parse_args()
    rounds: dict[Path, list[dict[str, float]]] = {given.old.resolve(): [], THIS: []}
    for number in range(given.rounds):
        for tree in sorted(rounds, reverse=number % 2 == 0):  # each goes first as often
            rounds[tree].append(measure(tree))
    for name in rounds[THIS][0]:
        before, after = (median(one[name] for one in measured) for measured in rounds.values())
        print(f"{name}: {before:.2f} ms before, {after:.2f} ms now, {after / before:.2f} ×")


if __name__ == "__main__":
    main()
