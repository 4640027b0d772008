"""Several processes with one key: their use of its limit, with and without Redis."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from support.redis_server import redis_server
from support.replicas import Replicas, Told, replicas

from bench.api import simulated
from bench.limits import LIMITS, REPLY, TWO_BUCKETS, Limit, Outcome, outcome
from bench.loops import LoopResult
from bench.page import Claim, Section, table

PROCESSES = 4
SHOWN = "300 requests/min"  # also measured without Redis
SHARED, INTERRUPTED, SEPARATE = "with Redis", "Redis down for a third of the time", "without Redis"
MEASURED = (
    "5 requests/min",
    "300 requests/min",
    "300 requests/min, burst of 10",
    "1,000 requests/min",
    "1M tokens/min",
    TWO_BUCKETS,
)

TEXT = """\
{processes} processes that start at the same time without knowing the limits, each with the number of clients above; a
request is one call (effort `none`, without adaptive token limits). Everything else is as above. *Redis down*: Redis is
killed after a third of the time, loses its data, and is started again after another third. The last column is the
largest number of log lines about Redis in one process.

{rows}"""


def run(pictures: Path, quick: bool) -> Section:
    """Measure each limit with and without interruptions, each time with a new API and a new Redis."""
    del pictures
    rows, claims = [], []
    for name in MEASURED[: 1 if quick else None]:
        limit = LIMITS[name]
        for mode in (
            (INTERRUPTED,) if quick else (SHARED, INTERRUPTED, SEPARATE) if name == SHOWN else (SHARED, INTERRUPTED)
        ):
            four, done = _measure(limit, mode, 1.5 if quick else limit.seconds)
            lost = sum(len(told.errors) for told in four.told)
            logged = max(len(told.log) for told in four.told)
            rows.append(
                [name, mode, f"{done.answered} of {done.requests}", f"{done.used:.1%}", f"{done.refused:.2%}", logged]
            )
            if mode == SEPARATE:
                continue
            claims.append(Claim(f"requests lost at {name}, {PROCESSES} processes {mode}", "0", f"{lost}", lost == 0))
            if mode == SHARED:
                claims += _claims(name, done)
    head = ["limit", "", "requests answered", "used", "calls refused", "log lines"]
    text = TEXT.format(processes=PROCESSES, rows=table(head, rows))
    return Section("Several processes with one key", text, () if quick else claims)


def _claims(name: str, done: Outcome) -> list[Claim]:
    used, refused = f"{done.used:.1%}", f"{done.refused:.2%}"
    return [
        Claim(f"used of {name}, {PROCESSES} processes", "≥ 95 %", used, done.used >= 0.95),
        Claim(f"refused at {name}, {PROCESSES} processes", "≤ 2 %", refused, done.refused <= 0.02),
    ]


def _measure(limit: Limit, mode: str, seconds: float) -> tuple[Replicas, Outcome]:
    with ExitStack() as running:
        api = running.enter_context(simulated(f"--limits={limit.option}", f"--time-scale={limit.scale}", seconds=REPLY))
        redis = running.enter_context(redis_server())
        settings: dict[str, Any] = {"effort": "none", "fit_tokens": False} | (
            {} if mode == SEPARATE else {"redis_url": redis.url}
        )
        with replicas(api.url, PROCESSES, scale=limit.scale, clients=limit.clients, **settings) as four:
            if mode == INTERRUPTED:
                time.sleep(seconds / 3)
                redis.kill()
                time.sleep(seconds / 3)
                redis.start()
            time.sleep(max(0.0, four.began + seconds - time.monotonic()))
        results = [one for told in four.told for one in _results(told)]
        return four, outcome(limit, api.calls(), four.began, four.seconds, results)


def _results(told: Told) -> list[LoopResult]:
    return [LoopResult(0.0, "")] * told.answered + [LoopResult(0.0, error=error) for error in told.errors]
