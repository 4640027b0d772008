"""`python -m bench.sidecar`: the sidecar beside stock `optillm`, and its promises.

Writes the figures into docs/sidecar.md, and exits with 1 when a promise is broken.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from statistics import median

from bench.page import DOCS, Claim, insert, machine, promises, table
from bench.processes import Memory
from bench.servers import API, QUICK, SIDECAR, STOCK, STOCK_NONE, Cells, Plan, Seen, measure

BEGIN, END = "<!-- load -->", "<!-- /load -->"
MANY = 16  # clients with which the requests a second are compared

TEXT = """\
Run on {date} in {minutes:.1f} minutes: {machine}; the load average was {load:.1f} before it.

Three servers, each a real process: `cepo-cerebras serve`, and `optillm --approach cepo_cerebras` and
`optillm --approach none` as OptiLLM starts itself, on Werkzeug's development server, all from the slim set of
`make venv`. They call an API, a process of its own, that answers each call at once with the same few words: what is
seen is the servers' own work. The clients are one more process, which asks without a library, and keeps a connection
where the server does. They all share the machine's {cores} processors. In each of {rounds} rounds the servers take
turns, and the figures are of all rounds together; the 99th percentile of fewer than 100 requests is the slowest.

{claims}

### Start and memory

{starts} starts of each in turns: seconds from the start of the process to the first 200 of `/health`, median and
slowest. Memory is resident, in MB. What stands behind a plus is a process that compares formulas for voting; the first
question that is planned starts it, and direct calls never do. *At rest* is a second after the first healthy answer,
*afterwards* a second after the last question of all.

{rests}

### A direct call

One client with the Cerebras SDK, one call after another, in turns to the API itself and through each server. The
difference is what the server adds: the SDK's own work is in both.

{sdk}

With more clients, who use no SDK. The first lines are the API and the clients alone. *CPU* is the server's processor
time for a request.

{direct}

### `cepo_cerebras`

With its defaults: {calls} calls to the API for a question.

{planned}

Then {crowd} clients asked the sidecar at the same moment, once each, where {room} find room: {answered} were answered
200, {refused} were refused 503 with a `retry-after`, {lost} were lost."""


def claims(seen: Seen) -> list[Claim]:
    """What was promised, and whether it holds."""
    added = 1000 * (median(seen.sdk[SIDECAR]) - median(seen.sdk[API]))
    rates = [cells[MANY].rate for name, cells in seen.direct.items() if name.startswith(SIDECAR) and MANY in cells]
    stock = seen.direct[STOCK_NONE].get(MANY)
    times = min(rates) / stock.rate if stock else 0.0
    start = median(seen.starts[SIDECAR])
    rest = max(memory.all for memory in seen.rests[SIDECAR])
    cells = [cells[max(cells)] for cells in (*seen.direct.values(), *seen.planned.values())]
    lost, asked = sum(cell.lost for cell in cells), sum(cell.asked for cell in cells)
    clients, crowd = max(seen.planned[SIDECAR]), seen.crowd
    told = f"{crowd.lost} of {crowd.asked}"
    return [
        Claim("added to a direct call, median, one client", "≤ 6 ms", f"{added:.2f} ms", added <= 6),
        Claim(f"direct calls a second at {MANY} clients, of `optillm`'s", "≥ 5 ×", f"{times:.1f} ×", times >= 5),
        Claim("start to the first healthy answer, median", "≤ 1.2 s", f"{start:.2f} s", start <= 1.2),
        Claim("memory at rest", "≤ 130 MB", f"{rest:.0f} MB", rest <= 130),
        Claim(f"requests of {clients} clients lost", "0", f"{lost} of {asked}", lost == 0),
        Claim("lost of more questions than there is room for", "0", told, crowd.lost == 0),
    ]


def report(seen: Seen, seconds: float, plan: Plan) -> str:
    """All figures, as they stand on the page."""
    return TEXT.format(
        date=f"{datetime.date.today():%Y-%m-%d}",
        minutes=seconds / 60,
        machine=machine("optillm", "waitress", "cerebras_cloud_sdk"),
        load=seen.load,
        cores=os.cpu_count(),
        rounds=plan.rounds,
        claims=promises(claims(seen)),
        starts=max(map(len, seen.starts.values())),
        rests=_rests(seen),
        sdk=_by_the_sdk(seen),
        direct=_levels(seen.direct),
        calls=seen.calls,
        planned=_levels(seen.planned),
        crowd=seen.crowd.asked,
        room=sum(plan.room),
        answered=seen.crowd.statuses["200"],
        refused=seen.crowd.statuses["503"] - seen.crowd.unsaid,
        lost=seen.crowd.lost,
    )


def _rests(seen: Seen) -> str:
    clients = max(seen.planned[SIDECAR])
    head = ["", "start (s)", "slowest", "at rest (MB)", f"with {clients} questions at once (MB)", "afterwards (MB)"]
    return table(
        head,
        [
            [name, f"{median(seen.starts[name]):.2f}", f"{max(seen.starts[name]):.2f}",
             _megabytes(max(seen.rests[name], key=lambda memory: memory.all)),
             _megabytes(seen.most[name]), _megabytes(seen.after[name])]
            for name in (SIDECAR, STOCK)
        ],
    )  # fmt: skip


def _megabytes(memory: Memory) -> str:
    return f"{memory.own:.0f}" + (f" + {memory.helpers:.0f}" if memory.helpers else "")


def _by_the_sdk(seen: Seen) -> str:
    bare = median(seen.sdk[API])
    head = ["", "calls", "median (ms)", "added (ms)"]
    rows = [
        [name, len(seconds), f"{median(seconds) * 1000:.2f}", f"{(median(seconds) - bare) * 1000:.2f}"]
        for name, seconds in seen.sdk.items()
    ]
    return table(head, rows)


def _levels(cells: Cells) -> str:
    head = ["clients", "", "requests/s", "median (ms)", "99th percentile (ms)", "CPU (ms)", "requests", "not 200"]
    rows = []
    for clients in next(iter(cells.values())):
        for name, of in cells.items():
            cell = of[clients]
            rows.append(
                [clients, name, f"{cell.rate:,.1f}", f"{cell.median * 1000:,.1f}", f"{cell.slow * 1000:,.1f}",
                 f"{cell.each * 1000:.1f}" if cell.processor else "", cell.asked, cell.asked - cell.statuses["200"]]
            )  # fmt: skip
    return table(head, rows)


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(prog="bench.sidecar", description="The sidecar beside stock optillm, under load.")
    parser.add_argument("--quick", action="store_true", help="small numbers that show nothing but that it runs")
    parser.add_argument("--dry", action="store_true", help="print the figures, and write nothing")
    given = parser.parse_args()
    plan = QUICK if given.quick else Plan()
    began = time.monotonic()
    seen = measure(plan)
    text = report(seen, time.monotonic() - began, plan)
    print(text)
    for claim in claims(seen):
        print(f"  {'yes' if claim.holds else 'NO '} {claim.what}: {claim.limit}, seen {claim.seen}")
    if not (given.quick or given.dry):
        insert(text, DOCS / "sidecar.md", BEGIN, END)
    sys.exit(0 if all(claim.holds for claim in claims(seen)) else 1)


if __name__ == "__main__":
    main()
