"""Order in which requests finish if the API limits simultaneous calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from bench.api import simulated
from bench.figures import ratio
from bench.loops import easy, our_loop
from bench.measure import run_parallel
from bench.page import Claim, Section, table
from bench.pictures import GREY, OURS, canvas, save
from optillm_cerebras_cepo.core.chat import ChatRequest
from optillm_cerebras_cepo.core.events import Observer
from optillm_cerebras_cepo.llm.rate_limits.limiter import RateLimiter
from optillm_cerebras_cepo.llm.rate_limits.limits import Cost, Permit
from optillm_cerebras_cepo.llm.rate_limits.priority_queue import Priority
from optillm_cerebras_cepo.llm.rate_limits.registry import LimiterRegistry
from optillm_cerebras_cepo.runtime import Runtime

REQUESTS = 8
CAPACITIES = (4, 8)  # simultaneous calls
TARGETED = 4
SECONDS = 0.1  # per call
REPEAT = 2

TEXT = """\
{requests} simultaneous requests, on an API that allows 4 or 8 simultaneous calls of {seconds:g} s, ratings too. Our
loop knows this number (`CEPO_CEREBRAS_CONCURRENCY`) and sends the calls of the oldest request first. It is compared
with the same code without priorities, which sends calls in the order of their arrival. OptiLLM's loop has no order of
its own. The targets apply to 4 calls: with 8 the last request alone cannot use them all, because it makes three
reviews, final answers or ratings at a time. Medians of {repeat} runs; both orders take turns. The picture shows one
run with 4 calls.

{rows}

{picture}"""


class FirstCome(RateLimiter):
    """Sends calls in the order of their arrival, whatever their priority."""

    def acquire(self, priority: Priority, cost: Cost, request: ChatRequest, observer: Observer) -> Permit:
        """Wait until this call may go out."""
        del priority
        return super().acquire((0,), cost, request, observer)


class FirstComeRegistry(LimiterRegistry):
    """Registry whose limiters ignore priorities."""

    def __init__(self) -> None:
        super().__init__()
        self._first_come: dict[RateLimiter, FirstCome] = {}

    def limiter(self, *given: Any) -> RateLimiter:
        """Return the one limiter of this model."""
        limiter = super().limiter(*given)
        return self._first_come.setdefault(limiter, FirstCome(limiter._store, limiter._configured_concurrency))


class FirstComeRuntime(Runtime):
    """Our runtime without priorities."""

    def __init__(self) -> None:
        super().__init__()
        self.shared.limiters = FirstComeRegistry()


@dataclass(frozen=True)
class Race:
    """Sorted seconds until each request was answered; a list for each run."""

    by_age: list[list[float]]
    by_arrival: list[list[float]]


def run(pictures: Path, quick: bool) -> Section:
    """Measure both orders."""
    seconds = 0.02 if quick else SECONDS
    races = {capacity: _race(capacity, seconds, 1 if quick else REPEAT) for capacity in CAPACITIES}
    rows = []
    claims = []
    for capacity, race in races.items():
        means = [median(mean(times) for times in runs) for runs in (race.by_age, race.by_arrival)]
        firsts, lasts = (
            [median(times[at] for times in runs) for runs in (race.by_age, race.by_arrival)] for at in (0, -1)
        )
        for name, *figures in zip(("the oldest first", "first come, first served"), means, firsts, lasts, strict=True):
            rows.append([capacity, name, *(f"{figure:.2f}" for figure in figures)])
        if capacity > TARGETED:
            continue
        what = f"{REQUESTS} requests, {capacity} simultaneous calls"
        claims += [
            Claim(
                f"mean wait, {what}, relative to first come, first served",
                "≤ 0.7 ×",
                ratio(*means),
                means[0] <= 0.7 * means[1],
            ),
            Claim(
                f"wait of the last request, {what}, relative to first come, first served",
                "≤ 1.05 ×",
                ratio(*lasts),
                lasts[0] <= 1.05 * lasts[1],
            ),
        ]
    head = ["simultaneous calls", "order", "mean (s)", "first request (s)", "last request (s)"]
    text = TEXT.format(
        requests=REQUESTS,
        seconds=seconds,
        repeat=REPEAT,
        rows=table(head, rows),
        picture=_draw(races[CAPACITIES[0]], pictures),
    )
    return Section("Order of requests under load", text, () if quick else claims)


def _race(capacity: int, seconds: float, repeat: int) -> Race:
    race = Race([], [])
    with simulated(f"--max-in-flight={capacity}", seconds=seconds) as api:
        loops = [our_loop(api.url, runtime=kind(), concurrency=capacity) for kind in (Runtime, FirstComeRuntime)]
        for loop in loops:
            loop(easy("warm"))
        for turn in range(repeat):
            for index, (loop, runs) in enumerate(zip(loops, (race.by_age, race.by_arrival), strict=True)):
                questions = [easy(f"{index}.{turn}.{number}") for number in range(REQUESTS)]
                runs.append(sorted(result.seconds for result in run_parallel(loop, questions, REQUESTS)))
    return race


def _draw(race: Race, pictures: Path) -> str:
    figure, axes = canvas(7, 2.8)
    by_age, by_arrival = race.by_age[-1], race.by_arrival[-1]
    numbers = range(1, len(by_age) + 1)
    axes.plot(numbers, by_arrival, "s--", color=GREY, label="first come, first served")
    axes.plot(numbers, by_age, "o-", color=OURS, label="ours, the oldest first")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("request, in order of completion")
    axes.set_ylabel("seconds until answered")
    axes.legend()
    return save(
        figure,
        pictures,
        "order",
        "time until each of 8 requests is answered, oldest first, and first come, first served",
    )
