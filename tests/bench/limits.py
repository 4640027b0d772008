"""Under the API's limits of requests and of tokens per minute: who is answered at all."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from bench.api import Api, simulated
from bench.loops import Loop, easy, optillm_loop, our_loop
from bench.measure import simultaneously
from bench.page import Section, table
from bench.pictures import AUTO, GREY, OPTILLM, OURS, canvas, save
from optillm_cerebras_cepo.runtime import Runtime

LIMITS = {
    "300 requests/min": "requests_per_minute=300",
    "1,000,000 tokens/min": "tokens_per_minute=1_000_000",
}
TIME_SCALE = 4  # a minute of the API's in so many times less
SECONDS = 0.4  # of a call, of the API's; 0.1 as the loops see it
AT_ONCE = 4
COLOURS = {"OptiLLM": OPTILLM, "ours": OURS, "ours, auto": AUTO}

TEXT = """\
{count} requests, {at_once} at a time, on an API that refuses (429) what is beyond its limit; its bucket holds one
minute's worth and is full at the start. A minute of the API's is {minute:g} s here; the waits between two tries are
not shortened, of neither loop. Nothing in ours spaces calls out: it knows of a limit only by the refusals, tries
each call up to five times, and leaves out what is refused to the end, as long as an answer is left. OptiLLM's loop
has the SDK's two further tries, and one call that is refused three times ends its request. *Seconds* are those
until all requests are over, answered or not: to fail is quick.

{rows}

{picture}"""


@dataclass(frozen=True)
class Outcome:
    """What became of the requests of one loop under one limit."""

    answered: int
    whole: int
    seconds: float
    refusals: int
    calls: int


def run(pictures: Path, quick: bool) -> Section:
    """Measure both loops under each limit, each on a fresh API."""
    count = 2 if quick else 16
    seen = {limit: _under(option, count) for limit, option in list(LIMITS.items())[: 1 if quick else None]}
    rows = [
        [limit, name, f"{done.answered} of {count}", done.whole, f"{done.seconds:.1f}", done.refusals, done.calls]
        for limit, loops in seen.items()
        for name, done in loops.items()
    ]
    head = ["limit", "", "answered", "with nothing left out", "seconds", "calls refused", "calls"]
    text = TEXT.format(
        count=count,
        at_once=AT_ONCE,
        minute=60 / TIME_SCALE,
        rows=table(head, rows),
        picture=_draw(seen, count, pictures),
    )
    return Section("Under rate limits", text)


def _under(limit: str, count: int) -> dict[str, Outcome]:
    found = {}
    for name in COLOURS:
        with simulated(f"--limits={limit}", f"--time-scale={TIME_SCALE}", seconds=SECONDS) as api:
            found[name] = _outcome(api, _loop(api, name), count)
    return found


def _loop(api: Api, name: str) -> Loop:
    if name == "OptiLLM":
        return optillm_loop(api.url)
    return our_loop(api.url, runtime=Runtime(), effort="auto" if "auto" in name else "medium")


def _outcome(api: Api, loop: Loop, count: int) -> Outcome:
    started = time.monotonic()
    answered = simultaneously(loop, [easy(number) for number in range(count)], AT_ONCE)
    seconds = time.monotonic() - started
    calls = api.calls()
    good = [one for one in answered if one.answer is not None]
    refusals = sum(call.status == 429 for call in calls)
    return Outcome(len(good), sum(not one.degraded for one in good), seconds, refusals, len(calls))


def _draw(seen: dict[str, dict[str, Outcome]], count: int, pictures: Path) -> str:
    figure, axes = canvas(7, 2.8)
    for index, (name, colour) in enumerate(COLOURS.items()):
        places = [place + (index - 1) * 0.27 for place in range(len(seen))]
        answered = [100 * loops[name].answered / count for loops in seen.values()]
        whole = [100 * loops[name].whole / count for loops in seen.values()]
        axes.bar(places, answered, width=0.25, color=colour, alpha=0.35)
        bars = axes.bar(places, whole, width=0.25, color=colour, label=name)
        axes.bar_label(bars, [f"{share:.0f}" for share in answered], padding=2, color=GREY)
    axes.set_xticks(range(len(seen)), list(seen))
    axes.set_ylim(0, 110)
    axes.set_ylabel("answered requests (%)\npale: something left out")
    axes.grid(axis="x", visible=False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return save(figure, pictures, "limits", "share of requests answered under limits per minute, by loop")
