"""Several processes with one key: what they use of its limit together, by Redis and without."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from support.redis_server import redis_server
from support.replicas import Replicas, Told, replicas

from bench.api import simulated
from bench.limits import LIMITS, REPLY, Limit, Outcome, outcome
from bench.loops import Answered
from bench.page import Claim, Section, table

PROCESSES = 4
SHOWN = "300 requests/min"  # also without Redis
TOGETHER, DYING, ALONE = "by Redis", "Redis away for a third of the time", "each for itself"
MEASURED = (
    "5 requests/min",
    "300 requests/min",
    "300 requests/min, burst of 10",
    "1,000 requests/min",
    "1M tokens/min",
)

TEXT = """\
{processes} processes that begin together and know nothing, with as many clients each as above; a request is one
call (effort `none`, with its whole token limit). Everything else is as above. *Redis away*: it is killed after a third
of the time with all that it knows, and started again after the second third. The last column is what a process logged
of Redis, at the most.

{rows}"""


def run(pictures: Path, quick: bool) -> Section:
    """Measure each limit in each way, each time on a fresh API and a fresh Redis."""
    del pictures
    rows, claims = [], []
    for name in MEASURED[: 1 if quick else None]:
        limit = LIMITS[name]
        for way in (DYING,) if quick else (TOGETHER, DYING, ALONE) if name == SHOWN else (TOGETHER, DYING):
            four, done = _measure(limit, way, 1.5 if quick else limit.seconds)
            lost = sum(len(told.errors) for told in four.told)
            logged = max(len(told.log) for told in four.told)
            rows.append(
                [name, way, f"{done.answered} of {done.begun}", f"{done.used:.1%}", f"{done.refused:.2%}", logged]
            )
            if way == ALONE:
                continue
            claims.append(Claim(f"requests lost at {name}, {PROCESSES} processes {way}", "0", f"{lost}", lost == 0))
            if way == TOGETHER:
                claims += _claims(name, done)
    head = ["limit", "", "requests answered", "used", "calls refused", "logged"]
    text = TEXT.format(processes=PROCESSES, rows=table(head, rows))
    return Section("Several processes with one key", text, () if quick else claims)


def _claims(name: str, done: Outcome) -> list[Claim]:
    used, refused = f"{done.used:.1%}", f"{done.refused:.2%}"
    return [
        Claim(f"used of {name} by {PROCESSES} processes", "≥ 95 %", used, done.used >= 0.95),
        Claim(f"refused at {name} of {PROCESSES} processes", "≤ 2 %", refused, done.refused <= 0.02),
    ]


def _measure(limit: Limit, way: str, seconds: float) -> tuple[Replicas, Outcome]:
    with ExitStack() as running:
        api = running.enter_context(simulated(f"--limits={limit.option}", f"--time-scale={limit.scale}", seconds=REPLY))
        redis = running.enter_context(redis_server())
        settings: dict[str, Any] = {"effort": "none", "fit_tokens": False} | (
            {} if way == ALONE else {"redis_url": redis.url}
        )
        with replicas(api.url, PROCESSES, scale=limit.scale, clients=limit.clients, **settings) as four:
            if way == DYING:
                time.sleep(seconds / 3)
                redis.kill()
                time.sleep(seconds / 3)
                redis.start()
            time.sleep(max(0.0, four.began + seconds - time.monotonic()))
        answered = [one for told in four.told for one in _answered(told)]
        return four, outcome(limit, api.calls(), four.began, four.seconds, answered)


def _answered(told: Told) -> list[Answered]:
    return [Answered(0.0, "")] * told.answered + [Answered(0.0, error=error) for error in told.errors]
