"""Under the API's limits: how much of what they allow is used, how many calls are refused, and who is answered."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.api import Api, Call, simulated
from bench.loops import Answered, Loop, easy, optillm_loop, our_loop
from bench.page import Claim, Section, table
from bench.pictures import GREY, OPTILLM, OURS, canvas, save
from optillm_cerebras_cepo.runtime import Runtime

REPLY = 0.5  # seconds of a call, of the API's
LEARNT = 60.0  # the API's seconds after which the limits must be known
FEW = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1}  # calls, in a quick run
COLOURS = {"OptiLLM": OPTILLM, "ours": OURS}

TEXT = """\
As many requests at a time as keep the limit busy, each begun when one before it is over, from a cold start with a full
bucket; so many of the API's minutes as the table says, in compressed time. A minute of the API's is a minute divided
by *compressed*; waits of ours are shortened as much, those of OptiLLM's SDK (two retries, 1.4 s in all) are not.
Nothing is told of the limits in advance, the headers and refusals have to. *Used* is what was admitted in that time
(calls, or their tokens where these are limited), of what the limit allows: the full bucket and what flows in.
*Refused* are the calls answered 429 after the first minute, of all calls then. Requests that are under way at the end
are waited for, and count. OptiLLM's loop ends a request with its first call that is refused three times.

{rows}

{picture}"""


@dataclass(frozen=True)
class Limit:
    """One row: a limit, and how it is filled.

    Attributes:
        option: the simulated API's.
        allows: what is admitted in a minute.
        burst: what the bucket holds.
        minutes: of the API's, for which requests are begun.
        scale: so many of the API's seconds pass in a real one.
        clients: requests at a time.

    """

    option: str
    allows: float
    burst: float
    minutes: float
    scale: float
    clients: int

    @property
    def seconds(self) -> float:
        """Real seconds for which requests are begun."""
        return self.minutes * 60 / self.scale


LIMITS: Mapping[str, Limit] = {
    "5 requests/min": Limit("requests_per_minute=5", 5, 5, 20, 60, 2),
    "30 requests/min": Limit("requests_per_minute=30", 30, 30, 10, 40, 4),
    "300 requests/min": Limit("requests_per_minute=300", 300, 300, 4, 16, 8),
    "300 requests/min, burst of 10": Limit("requests_per_minute=300,burst=10", 300, 10, 4, 16, 8),
    "1,000 requests/min": Limit("requests_per_minute=1000", 1_000, 1_000, 3, 6, 16),
    "30K tokens/min": Limit("tokens_per_minute=30_000", 30_000, 30_000, 20, 60, 4),
    "1M tokens/min": Limit("tokens_per_minute=1_000_000", 1_000_000, 1_000_000, 4, 12, 16),
}


@dataclass(frozen=True)
class Outcome:
    """What became of one loop under one limit; `used` and `refused` are shares."""

    begun: int
    answered: int
    used: float
    refused: float


def run(pictures: Path, quick: bool) -> Section:
    """Measure both loops under each limit, each on a fresh API."""
    rows, claims, seen = [], [], {}
    for name, limit in list(LIMITS.items())[: 1 if quick else None]:
        seen[name] = {loop: _under(limit, loop, quick) for loop in COLOURS}
        for loop, done in seen[name].items():
            compressed = f"{limit.minutes:g} min, {limit.scale:g} ×"
            rows.append(
                [name, compressed, loop, f"{done.answered} of {done.begun}", f"{done.used:.1%}", f"{done.refused:.2%}"]
            )
        ours = seen[name]["ours"]
        lost = ours.begun - ours.answered
        claims += [
            Claim(f"used of {name}", "≥ 95 %", f"{ours.used:.1%}", ours.used >= 0.95),
            Claim(f"refused at {name}, once learnt", "≤ 2 %", f"{ours.refused:.2%}", ours.refused <= 0.02),
            Claim(f"requests lost at {name}", "0", f"{lost}", lost == 0),
        ]
    head = ["limit", "compressed", "", "requests answered", "used", "calls refused"]
    text = TEXT.format(rows=table(head, rows), picture=_draw(seen, pictures))
    return Section("Under rate limits", text, () if quick else claims)


def _under(limit: Limit, name: str, quick: bool) -> Outcome:
    seconds = 1.0 if quick else limit.seconds
    with simulated(f"--limits={limit.option}", f"--time-scale={limit.scale}", seconds=REPLY) as api:
        loop = _loop(api, name, limit, FEW if quick else {})
        began = time.monotonic()
        answered = keep_busy(loop, limit.clients, seconds)
        return outcome(limit, api.calls(), began, seconds, answered)


def _loop(api: Api, name: str, limit: Limit, settings: Mapping[str, Any]) -> Loop:
    if name == "OptiLLM":
        return optillm_loop(api.url, **settings)
    # Where tokens are limited, whole limits are asked for: else the processor is what limits.
    return our_loop(api.url, runtime=Runtime(limit.scale), fit_tokens="tokens" not in limit.option, **settings)


def keep_busy(loop: Loop, clients: int, seconds: float) -> list[Answered]:
    """Ask one question after the other with so many clients for so many seconds; returns when all are over."""
    names, over, results = itertools.count(), time.monotonic() + seconds, list[Answered]()

    def client() -> None:
        while time.monotonic() < over:
            results.append(loop(easy(next(names))))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def outcome(limit: Limit, calls: Sequence[Call], began: float, seconds: float, answered: Sequence[Answered]) -> Outcome:
    """What the API's own books say. Times are those of one clock, which all processes of a machine share."""
    within = [call for call in calls if call.started < began + seconds]
    later = [call for call in within if call.started > began + LEARNT / limit.scale]
    admitted = [call for call in within if call.admission_tokens]
    used = sum(call.admission_tokens if "tokens" in limit.option else 1 for call in admitted)
    return Outcome(
        len(answered),
        sum(one.answer is not None for one in answered),
        used / (limit.burst + limit.allows * seconds * limit.scale / 60),
        sum(call.status == 429 for call in later) / max(1, len(later)),
    )


def _draw(seen: Mapping[str, Mapping[str, Outcome]], pictures: Path) -> str:
    figure, axes = canvas(8, 3.2)
    for index, (name, colour) in enumerate(COLOURS.items()):
        places = [place + (index - 0.5) * 0.36 for place in range(len(seen))]
        shares = [100 * loops[name].answered / max(1, loops[name].begun) for loops in seen.values()]
        bars = axes.bar(places, shares, width=0.34, color=colour, label=name)
        axes.bar_label(bars, [f"{share:.0f}" for share in shares], padding=2, color=GREY)
    axes.set_xticks(
        range(len(seen)), [name.replace(" requests", "\nrequests").replace(" tokens", "\ntokens") for name in seen]
    )
    axes.set_ylim(0, 112)
    axes.set_ylabel("answered requests (%)")
    axes.grid(axis="x", visible=False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return save(figure, pictures, "limits", "share of requests answered under limits per minute, by loop")
