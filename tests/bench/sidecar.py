"""`python -m bench.sidecar`: measure the sidecar and stock `optillm`.

Writes the figures into docs/sidecar.md, and exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from statistics import median

from bench.page import DOCS, Claim, claims_table, insert, machine, table
from bench.processes import Memory
from bench.servers import API, QUICK, SIDECAR, STOCK, STOCK_NONE, Measurements, Plan, ResultTable, measure

BEGIN, END = "<!-- load -->", "<!-- /load -->"
MANY = 16  # number of clients for the comparison of throughput

TEXT = """\
Run on {date} in {minutes:.1f} minutes: {machine}; the load average was {load:.1f} before it.

Three servers, each in its own process: `cepo-cerebras serve`, and `optillm --approach cepo_cerebras` and
`optillm --approach none`, which run on Werkzeug's development server; all from the slim set of `make venv`. The API is
another process that answers each call immediately with the same short text, so the figures show the servers' own work.
The clients run in one more process, use no library, and reuse connections if the server keeps them open. All processes
share the machine's {cores} processors. The servers take turns in each of {rounds} rounds, and the figures are those of
all rounds; the 99th percentile of fewer than 100 requests is the slowest one.

{claims}

### Start and memory

{starts} starts of each server, in turn: seconds from the start of the process to the first 200 of `/health`, median and
slowest. Memory is resident memory in MB. The second number is a process that compares formulas for voting; the first
planned request starts it, direct calls do not. *Idle* is one second after the first healthy reply, *afterwards* one
second after the last request.

{memory}

### A direct call

One client with the Cerebras SDK makes one call after another, in turn to the API and through each server. The
difference is the server's overhead, because both include the SDK's work.

{sdk}

More clients, without the SDK. The first rows are the API and the clients alone. *CPU* is the server's processor time
per request.

{direct}

### `cepo_cerebras`

With default settings: {calls} calls to the API per request.

{planned}

Then {overload} clients sent one request each to the sidecar at the same time, which accepts {capacity}: {answered} got
status 200, {refused} got 503 with a `retry-after`, {lost} were lost."""


def claims(measured: Measurements) -> list[Claim]:
    """Return the targets, and whether they are met."""
    added = 1000 * (median(measured.sdk[SIDECAR]) - median(measured.sdk[API]))
    rates = [cells[MANY].rate for name, cells in measured.direct.items() if name.startswith(SIDECAR) and MANY in cells]
    stock = measured.direct[STOCK_NONE].get(MANY)
    times = min(rates) / stock.rate if stock else 0.0
    start = median(measured.starts[SIDECAR])
    idle = max(memory.all for memory in measured.idle[SIDECAR])
    cells = [cells[max(cells)] for cells in (*measured.direct.values(), *measured.planned.values())]
    lost, requests = sum(cell.lost for cell in cells), sum(cell.requests for cell in cells)
    clients, overload = max(measured.planned[SIDECAR]), measured.overload
    overload_lost = f"{overload.lost} of {overload.requests}"
    return [
        Claim("overhead of a direct call, median, one client", "≤ 6 ms", f"{added:.2f} ms", added <= 6),
        Claim(
            f"direct calls per second with {MANY} clients, relative to `optillm`", "≥ 5 ×", f"{times:.1f} ×", times >= 5
        ),
        Claim("seconds from start to healthy, median", "≤ 1.2 s", f"{start:.2f} s", start <= 1.2),
        Claim("memory when idle", "≤ 130 MB", f"{idle:.0f} MB", idle <= 130),
        Claim(f"requests of {clients} clients lost", "0", f"{lost} of {requests}", lost == 0),
        Claim("requests lost under overload", "0", overload_lost, overload.lost == 0),
    ]


def report(measured: Measurements, seconds: float, plan: Plan) -> str:
    """Return all figures for the page."""
    return TEXT.format(
        date=f"{datetime.date.today():%Y-%m-%d}",
        minutes=seconds / 60,
        machine=machine("optillm", "waitress", "cerebras_cloud_sdk"),
        load=measured.load,
        cores=os.cpu_count(),
        rounds=plan.rounds,
        claims=claims_table(claims(measured)),
        starts=max(map(len, measured.starts.values())),
        memory=_memory(measured),
        sdk=_by_the_sdk(measured),
        direct=_levels(measured.direct),
        calls=measured.calls,
        planned=_levels(measured.planned),
        overload=measured.overload.requests,
        capacity=sum(plan.capacity),
        answered=measured.overload.statuses["200"],
        refused=measured.overload.statuses["503"] - measured.overload.without_retry_after,
        lost=measured.overload.lost,
    )


def _memory(measured: Measurements) -> str:
    clients = max(measured.planned[SIDECAR])
    head = ["", "start (s)", "slowest", "idle (MB)", f"with {clients} simultaneous requests (MB)", "afterwards (MB)"]
    return table(
        head,
        [
            [name, f"{median(measured.starts[name]):.2f}", f"{max(measured.starts[name]):.2f}",
             _megabytes(max(measured.idle[name], key=lambda memory: memory.all)),
             _megabytes(measured.most[name]), _megabytes(measured.after[name])]
            for name in (SIDECAR, STOCK)
        ],
    )  # fmt: skip


def _megabytes(memory: Memory) -> str:
    return f"{memory.own:.0f}" + (f" + {memory.helpers:.0f}" if memory.helpers else "")


def _by_the_sdk(measured: Measurements) -> str:
    bare = median(measured.sdk[API])
    head = ["", "calls", "median (ms)", "overhead (ms)"]
    rows = [
        [name, len(seconds), f"{median(seconds) * 1000:.2f}", f"{(median(seconds) - bare) * 1000:.2f}"]
        for name, seconds in measured.sdk.items()
    ]
    return table(head, rows)


def _levels(cells: ResultTable) -> str:
    head = ["clients", "", "requests/s", "median (ms)", "99th percentile (ms)", "CPU (ms)", "requests", "not 200"]
    rows = []
    for clients in next(iter(cells.values())):
        for name, of in cells.items():
            cell = of[clients]
            rows.append(
                [clients, name, f"{cell.rate:,.1f}", f"{cell.median * 1000:,.1f}", f"{cell.p99 * 1000:,.1f}",
                 f"{cell.cpu_per_request * 1000:.1f}" if cell.cpu else "", cell.requests,
                 cell.requests - cell.statuses["200"]]
            )  # fmt: skip
    return table(head, rows)


def main() -> None:
    """Run the measurement of the command line."""
    parser = argparse.ArgumentParser(prog="bench.sidecar", description="The sidecar and stock optillm under load.")
    parser.add_argument("--quick", action="store_true", help="few requests, to test the benchmark itself")
    parser.add_argument("--dry", action="store_true", help="print the figures without writing them")
    given = parser.parse_args()
    plan = QUICK if given.quick else Plan()
    began = time.monotonic()
    measured = measure(plan)
    text = report(measured, time.monotonic() - began, plan)
    print(text)
    for claim in claims(measured):
        print(f"  {'yes' if claim.holds else 'NO '} {claim.what}: {claim.limit}, measured {claim.measured}")
    if not (given.quick or given.dry):
        insert(text, DOCS / "sidecar.md", BEGIN, END)
    sys.exit(0 if all(claim.holds for claim in claims(measured)) else 1)


if __name__ == "__main__":
    main()
