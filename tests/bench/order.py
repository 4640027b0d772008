"""In which order requests finish when the API takes only so many calls at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median

from bench.api import simulated
from bench.figures import ratio
from bench.loops import easy, our_loop
from bench.measure import simultaneously
from bench.page import Claim, Section, table
from bench.pictures import GREY, OURS, canvas, save
from optillm_cerebras_cepo.chat import ChatRequest
from optillm_cerebras_cepo.events import Observer
from optillm_cerebras_cepo.llm.limits import Cost, Ticket
from optillm_cerebras_cepo.llm.line import Rank
from optillm_cerebras_cepo.llm.pace import Gate
from optillm_cerebras_cepo.runtime import Runtime

REQUESTS = 8
PLACES = (4, 8)  # calls at once
PROMISED = 4
SECONDS = 0.1  # of a call
REPEAT = 2

TEXT = """\
{requests} requests that come at the same time, on an API that takes 4 or 8 calls at once ({seconds:g} s each,
ratings too). We know the number (`CEPO_CEREBRAS_CONCURRENCY`) and let the oldest request's next call go first.
Beside it the same code with every call of the same rank, so that calls go in the order in which they come.
OptiLLM's loop keeps no order of its own. The promise is about an API that is short of places: with 8 the last
request, alone at the end, no longer fills them (its reviews, final answers and ratings are three at a time). \
Medians of {repeat} runs, the two taking turns. The picture is one of
those with 4 calls at once.

{rows}

{picture}"""


class FirstCome(Gate):
    """Calls go in the order of their coming, whatever their rank."""

    def enter(self, rank: Rank, cost: Cost, request: ChatRequest, observer: Observer) -> Ticket:
        """Wait until this call may go out."""
        del rank
        return super().enter((0,), cost, request, observer)


class FirstComeRuntime(Runtime):
    """Our runtime without our order."""

    def __init__(self) -> None:
        super().__init__()
        self._gates.kind = FirstCome


@dataclass(frozen=True)
class Race:
    """Seconds until each of the requests was answered, the first first; a list for each run."""

    by_age: list[list[float]]
    by_coming: list[list[float]]


def run(pictures: Path, quick: bool) -> Section:
    """Measure our order and first come, first served."""
    seconds = 0.02 if quick else SECONDS
    races = {places: _race(places, seconds, 1 if quick else REPEAT) for places in PLACES}
    rows = []
    claims = []
    for places, race in races.items():
        means = [median(mean(times) for times in runs) for runs in (race.by_age, race.by_coming)]
        firsts, lasts = (
            [median(times[at] for times in runs) for runs in (race.by_age, race.by_coming)] for at in (0, -1)
        )
        for name, *figures in zip(("the oldest first", "first come, first served"), means, firsts, lasts, strict=True):
            rows.append([places, name, *(f"{figure:.2f}" for figure in figures)])
        if places > PROMISED:
            continue
        what = f"{REQUESTS} requests, {places} calls at once"
        claims += [
            Claim(
                f"mean wait, {what}, of first come first served", "≤ 0.7 ×", ratio(*means), means[0] <= 0.7 * means[1]
            ),
            Claim(f"wait of the last, {what}", "≤ 1.05 ×", ratio(*lasts), lasts[0] <= 1.05 * lasts[1]),
        ]
    head = ["calls at once", "order", "mean (s)", "first request (s)", "last request (s)"]
    text = TEXT.format(
        requests=REQUESTS,
        seconds=seconds,
        repeat=REPEAT,
        rows=table(head, rows),
        picture=_draw(races[PLACES[0]], pictures),
    )
    return Section("Order under load", text, () if quick else claims)


def _race(places: int, seconds: float, repeat: int) -> Race:
    race = Race([], [])
    with simulated(f"--max-in-flight={places}", seconds=seconds) as api:
        loops = [our_loop(api.url, runtime=kind(), concurrency=places) for kind in (Runtime, FirstComeRuntime)]
        for loop in loops:
            loop(easy("warm"))
        for turn in range(repeat):
            for index, (loop, runs) in enumerate(zip(loops, (race.by_age, race.by_coming), strict=True)):
                questions = [easy(f"{index}.{turn}.{number}") for number in range(REQUESTS)]
                runs.append(sorted(answered.seconds for answered in simultaneously(loop, questions, REQUESTS)))
    return race


def _draw(race: Race, pictures: Path) -> str:
    figure, axes = canvas(7, 2.8)
    by_age, by_coming = race.by_age[-1], race.by_coming[-1]
    numbers = range(1, len(by_age) + 1)
    axes.plot(numbers, by_coming, "s--", color=GREY, label="first come, first served")
    axes.plot(numbers, by_age, "o-", color=OURS, label="ours, the oldest first")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("request, in the order of finishing")
    axes.set_ylabel("seconds until answered")
    axes.legend()
    return save(figure, pictures, "order", "when each of 8 requests is answered, by age and first come first served")
