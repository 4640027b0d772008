"""Rate limits: the share of the limit that is used, refused calls, and answered requests."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.api import Api, Call, simulated
from bench.loops import Loop, LoopResult, easy, optillm_loop, our_loop
from bench.page import Claim, Section, table
from bench.pictures import GREY, OPTILLM, OURS, canvas, save
from optillm_cerebras_cepo.runtime import Runtime

REPLY = 0.5  # simulated seconds per call
LEARNING = 60.0  # simulated seconds in which the limits must be learned
FEW = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1}  # settings of a quick run
COLOURS = {"OptiLLM": OPTILLM, "ours": OURS}
TWO_BUCKETS = "1.5M tokens/min, 500K of them uncached"
HEADLINE = "300 requests/min"  # the limit at the top of the page

TEXT = """\
Enough parallel requests to reach the limit, from a cold start with a full bucket. *Simulated time* gives the simulated
minutes and the factor by which they are shortened; our waits are shortened by the same factor, those of OptiLLM's SDK
(two retries, 1.4 s in total) are not. The loops must learn the limits from headers and refusals. *Used* is the share
of the limit that was admitted, in calls or tokens; the limit is the full bucket plus the refill. Of two limits it is
that of the one that is used more: *uncached* tokens are those that the API's cache does not have. *Refused* is the
share of calls with status 429 after the first minute. Requests that run at the end are finished and counted. OptiLLM's
loop fails a request when one of its calls is refused three times. A request of `auto` whose plans agree is five calls:
under a limit of five a minute it takes a minute, after others that used the limit up.

{rows}

{picture}"""


@dataclass(frozen=True)
class Limit:
    """A rate limit and its load.

    Attributes:
        option: of the simulated API.
        allows: calls or tokens per minute.
        burst: capacity of the bucket.
        minutes: simulated minutes in which requests are started.
        scale: simulated seconds in one real second.
        clients: parallel requests.

    """

    option: str
    allows: float
    burst: float
    minutes: float
    scale: float
    clients: int
    uncached: float | None = None  # tokens per minute that the API's cache does not have, beside all tokens

    @property
    def seconds(self) -> float:
        """Real seconds in which requests are started."""
        return self.minutes * 60 / self.scale


LIMITS: Mapping[str, Limit] = {
    "5 requests/min": Limit("requests_per_minute=5", 5, 5, 20, 60, 2),
    "30 requests/min": Limit("requests_per_minute=30", 30, 30, 10, 40, 4),
    "300 requests/min": Limit("requests_per_minute=300", 300, 300, 4, 16, 8),
    "300 requests/min, burst of 10": Limit("requests_per_minute=300,burst=10", 300, 10, 4, 16, 8),
    "1,000 requests/min": Limit("requests_per_minute=1000", 1_000, 1_000, 3, 6, 16),
    "30K tokens/min": Limit("tokens_per_minute=30_000", 30_000, 30_000, 20, 60, 4),
    "1M tokens/min": Limit("tokens_per_minute=1_000_000", 1_000_000, 1_000_000, 4, 12, 16),
    TWO_BUCKETS: Limit(
        "tokens_per_minute=1_500_000,uncached_tokens_per_minute=500_000", 1_500_000, 1_500_000, 4, 12, 16, 500_000
    ),
}


@dataclass(frozen=True)
class Outcome:
    """Results of one loop under one limit; `used` and `refused` are shares."""

    requests: int
    answered: int
    used: float
    refused: float


def run(pictures: Path, quick: bool) -> Section:
    """Measure both loops under each limit, each on a new API."""
    rows, claims, outcomes = [], [], {}
    for name, limit in list(LIMITS.items())[: 1 if quick else None]:
        outcomes[name] = {loop: _under(limit, loop, quick) for loop in COLOURS}
        for loop, done in outcomes[name].items():
            compressed = f"{limit.minutes:g} min, {limit.scale:g} ×"
            rows.append(
                [
                    name,
                    compressed,
                    loop,
                    f"{done.answered} of {done.requests}",
                    f"{done.used:.1%}",
                    f"{done.refused:.2%}",
                ]
            )
        ours, theirs = outcomes[name]["ours"], outcomes[name]["OptiLLM"]
        lost = ours.requests - ours.answered
        measured = f"{lost} of {ours.requests} (OptiLLM: {theirs.requests - theirs.answered} of {theirs.requests})"
        claims += [
            Claim(f"used of {name}", "≥ 95 %", f"{ours.used:.1%}", ours.used >= 0.95),
            Claim(f"refused at {name}, after the first minute", "≤ 2 %", f"{ours.refused:.2%}", ours.refused <= 0.02),
            Claim(f"requests lost at {name}", "0", measured, lost == 0, headline=name == HEADLINE),
        ]
    minutes = _minutes_of_auto(quick)
    claims.append(
        Claim(
            "minutes of a request of `auto` at 5 requests/min, plans agree", "≤ 1.1", f"{minutes:.2f}", minutes <= 1.1
        )
    )
    head = ["limit", "simulated time", "", "requests answered", "used", "calls refused"]
    text = TEXT.format(rows=table(head, rows), picture=_draw(outcomes, pictures))
    return Section("Rate limits", text, () if quick else claims)


def _minutes_of_auto(quick: bool) -> float:
    """Return the mean simulated minutes of requests that follow each other; a first one empties the bucket."""
    limit, count = LIMITS["5 requests/min"], 1 if quick else 5
    with simulated(f"--limits={limit.option}", f"--time-scale={limit.scale}", seconds=REPLY) as api:
        loop = our_loop(api.url, runtime=Runtime(limit.scale), effort="auto")
        seconds = [loop(easy(number)).seconds for number in range(count + 1)]
    return fmean(seconds[1:]) * limit.scale / 60


def _under(limit: Limit, name: str, quick: bool) -> Outcome:
    seconds = 1.0 if quick else limit.seconds
    with simulated(f"--limits={limit.option}", f"--time-scale={limit.scale}", seconds=REPLY) as api:
        loop = _loop(api, name, limit, FEW if quick else {})
        began = time.monotonic()
        results = keep_busy(loop, limit.clients, seconds)
        return outcome(limit, api.calls(), began, seconds, results)


def _loop(api: Api, name: str, limit: Limit, settings: Mapping[str, Any]) -> Loop:
    if name == "OptiLLM":
        return optillm_loop(api.url, **settings)
    # Under token limits, adaptive token limits are off: otherwise the processor would be the bottleneck.
    return our_loop(api.url, runtime=Runtime(limit.scale), fit_tokens="tokens" not in limit.option, **settings)


def keep_busy(loop: Loop, clients: int, seconds: float) -> list[LoopResult]:
    """Send requests with this many clients for this many seconds; return the results when all have finished."""
    names, end, results = itertools.count(), time.monotonic() + seconds, list[LoopResult]()

    def client() -> None:
        while time.monotonic() < end:
            results.append(loop(easy(next(names))))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def outcome(
    limit: Limit, calls: Sequence[Call], began: float, seconds: float, results: Sequence[LoopResult]
) -> Outcome:
    """Evaluate the API's log. All processes of a machine share one monotonic clock."""
    within = [call for call in calls if call.started < began + seconds]
    later = [call for call in within if call.started > began + LEARNING / limit.scale]
    admitted = [call for call in within if call.admission_tokens]
    minutes = seconds * limit.scale / 60
    used = sum(call.admission_tokens if "tokens" in limit.option else 1 for call in admitted)
    shares = [used / (limit.burst + limit.allows * minutes)]
    if limit.uncached is not None:
        uncached = sum(call.admission_tokens - call.cached_tokens for call in admitted)
        shares.append(uncached / (limit.uncached * (1 + minutes)))
    return Outcome(
        len(results),
        sum(result.answer is not None for result in results),
        max(shares),
        sum(call.status == 429 for call in later) / max(1, len(later)),
    )


def _draw(outcomes: Mapping[str, Mapping[str, Outcome]], pictures: Path) -> str:
    figure, axes = canvas(8, 3.2)
    for index, (name, colour) in enumerate(COLOURS.items()):
        places = [place + (index - 0.5) * 0.36 for place in range(len(outcomes))]
        shares = [100 * loops[name].answered / max(1, loops[name].requests) for loops in outcomes.values()]
        bars = axes.bar(places, shares, width=0.34, color=colour, label=name)
        axes.bar_label(bars, [f"{share:.0f}" for share in shares], padding=2, color=GREY)
    axes.set_xticks(
        range(len(outcomes)),
        [re.sub(r" (?=requests|tokens)|(?<=,) ", "\n", name) for name in outcomes],
    )
    axes.set_ylim(0, 112)
    axes.set_ylabel("answered requests (%)")
    axes.grid(axis="x", visible=False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return save(figure, pictures, "limits", "share of requests answered under rate limits, by loop")
