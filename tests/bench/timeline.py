"""A picture of one request of each loop, with a bar for each call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.api import Call, simulated
from bench.loops import easy, optillm_loop, our_loop
from bench.page import Section
from bench.pictures import BLUE, GREEN, ORANGE, PINK, SKY, canvas, save

SECONDS = 0.2  # per call
STEPS = {"plan": SKY, "execute": BLUE, "review": GREEN, "final": PINK, "rating": ORANGE}

TEXT = """\
One request of each loop on the same time axis, with a bar for each call in the simulated API's log. Calls take
{seconds:g} s, ratings half as long.

{picture}"""


def run(pictures: Path, quick: bool) -> Section:
    """Record one request of each loop, and draw it."""
    seconds = 0.02 if quick else SECONDS
    recorded = {}
    with simulated(seconds=seconds, rating=0.5) as api:
        loops = {
            "OptiLLM": optillm_loop(api.url),
            "ours": our_loop(api.url),
            "ours, auto": our_loop(api.url, effort="auto"),
        }
        for name, loop in loops.items():
            loop(easy("warm"))
            api.clear()
            loop(easy("recorded"))
            recorded[name] = api.calls()
    figure, every = canvas(
        8, 5, nrows=3, sharex=True, height_ratios=[len(_lanes(calls)) for calls in recorded.values()]
    )
    for axes, (name, calls) in zip(every, recorded.items(), strict=True):
        _bars(axes, calls)
        title = f"{name}: {len(calls)} calls" + (", on a question whose plans agree" if "auto" in name else "")
        axes.set_title(title, loc="left", fontsize=10)
    every[-1].set_xlabel("seconds")
    handles = [every[0].barh(0, 0, color=colour, label=step) for step, colour in STEPS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(STEPS))
    picture = save(figure, pictures, "timeline", "a bar for each call of one request: OptiLLM, ours, ours with auto")
    return Section("One request, call by call", TEXT.format(seconds=seconds, picture=picture))


def _lanes(calls: Sequence[Call]) -> list[list[Call]]:
    """Return the calls in the smallest number of rows without overlaps."""
    lanes: list[list[Call]] = []
    for call in sorted(calls, key=lambda call: call.started):
        free = next((lane for lane in lanes if lane[-1].ended <= call.started), None)
        if free is None:
            lanes.append([call])
        else:
            free.append(call)
    return lanes


def _bars(axes: Any, calls: Sequence[Call]) -> None:
    start = min(call.started for call in calls)
    for row, lane in enumerate(_lanes(calls)):
        for call in lane:
            width = call.ended - call.started
            axes.barh(row, width, left=call.started - start, height=0.8, color=STEPS[call.label], edgecolor="white")
    axes.invert_yaxis()
    axes.set_yticks([])
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
