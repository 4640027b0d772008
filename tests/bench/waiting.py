"""Duration of a request if all calls take the same time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.api import simulated
from bench.figures import ratio
from bench.loops import Loop, easy, optillm_loop, our_loop, split
from bench.measure import medians
from bench.page import Claim, Section, table
from bench.pictures import AUTO, BLUE, GREY, OPTILLM, OURS, canvas, save

NAMES = ("OptiLLM", "ours, rated", "ours", "ours, auto")
COLOURS = (OPTILLM, OURS, BLUE, AUTO)
RATINGS = {0.5: "half as long", 1.0: "as long"}
LATENCIES = {0.05: 5, 0.2: 3, 1.0: 1}  # seconds per call: requests of each loop
QUICK = {0.05: 1}
REFERENCE = 0.2  # seconds per call in the targets

TEXT = """\
One request at a time; the loops take turns, and the figures are medians. Calls take the seconds in the first column,
ratings half as long or as long. OptiLLM's loop rates in any case, with six calls in sequence; ours rates if its
candidates differ (*rated*). With ratings, the critical path is plan, execution, review, final answer and rating in
sequence: a loop with these steps cannot be faster. Candidates that agree are four calls deep. `auto` gets a question on
which its plans agree: plan, execution, final answer.

The rows with 1 s are a first request to an API without limit headers: our loop starts with four simultaneous calls and
adds two for each reply, which costs it two rounds; its request with ratings comes after that. In the other rows an
earlier request is not counted.

{rows}

{picture}"""


def run(pictures: Path, quick: bool) -> Section:
    """Measure both loops, and effort `auto`, at several latencies."""
    latencies = QUICK if quick else LATENCIES
    measured = {
        (seconds, rating): _measure(seconds, rating, repeat)
        for seconds, repeat in latencies.items()
        for rating in RATINGS
    }
    head = ["call (s)", "ratings", "critical path (s)", "OptiLLM (s)", "ours, rated (s)", "relative to critical path",
            "relative to OptiLLM", "ours (s)", "relative to OptiLLM", "`auto` (s)", "relative to OptiLLM"]  # fmt: skip
    rows = []
    for (seconds, rating), (optillm, rated, *others) in measured.items():
        path = seconds * (4 + rating)
        figures = [f"{optillm:.3f}", f"{rated:.3f}", f"{rated / path:.2f}", f"{rated / optillm:.2f}"]
        for other in others:
            figures += [f"{other:.3f}", f"{other / optillm:.2f}"]
        rows.append([seconds, RATINGS[rating], f"{path:.3g}", *figures])
    text = TEXT.format(rows=table(head, rows), picture=_draw(measured, pictures))
    return Section("Duration of a request", text, _claims(measured, REFERENCE if REFERENCE in latencies else 0.05))


def _measure(seconds: float, rating: float, repeat: int) -> tuple[float, ...]:
    """Return the seconds of the loops in the order of `NAMES`."""
    with simulated(seconds=seconds, rating=rating) as api:
        loops: dict[str, Loop] = {
            "OptiLLM": optillm_loop(api.url),
            "ours": our_loop(api.url),
            "ours, auto": our_loop(api.url, effort="auto"),
        }
        optillm, ours, auto = medians(loops, easy, repeat).values()
        (rated,) = medians({"ours, rated": loops["ours"]}, split, repeat).values()
        return optillm, rated, ours, auto


def _claims(measured: Mapping[tuple[float, float], tuple[float, ...]], at: float) -> list[Claim]:
    claims = []
    for rating, limit in ((0.5, 0.65), (1.0, 0.55)):
        optillm, ours, _, auto = measured[at, rating]
        path = at * (4 + rating)
        what = f"rated, ratings {RATINGS[rating]} (calls of {at:g} s)"
        plain = f"ratings {RATINGS[rating]} (calls of {at:g} s)"
        claims += [
            Claim(f"duration relative to the critical path, {what}", "≤ 1.10 ×", ratio(ours, path),
                  ours <= 1.10 * path),
            Claim(f"duration relative to OptiLLM's, {what}", f"≤ {limit} ×", ratio(ours, optillm),
                  ours <= limit * optillm, headline=rating == 0.5),
            Claim(f"duration of `auto` relative to OptiLLM's, plans agree, {plain}", "≤ 0.45 ×", ratio(auto, optillm),
                  auto <= 0.45 * optillm),
        ]  # fmt: skip
    return claims


def _draw(measured: Mapping[tuple[float, float], tuple[float, ...]], pictures: Path) -> str:
    figure, axes = canvas(7.5, 3)
    labels = [f"{seconds:g} s,\nratings {RATINGS[rating]}" for seconds, rating in measured]
    for index, (name, colour) in enumerate(zip(NAMES, COLOURS, strict=True)):
        places = [place + (index - 1.5) * 0.21 for place in range(len(measured))]
        heights = [times[index] / seconds for (seconds, _), times in measured.items()]
        axes.bar(places, heights, width=0.19, color=colour, label=name)
    for place, (_, rating) in enumerate(measured):
        path = 4 + rating
        axes.hlines(
            path, place - 0.42, place + 0.42, color=GREY, linestyle="--", label="" if place else "critical path"
        )
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    axes.set_xlabel("duration of a call")
    axes.set_ylabel("duration of a request,\nrelative to a call")
    axes.grid(axis="x", visible=False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    return save(
        figure,
        pictures,
        "waiting",
        "duration of a request for several durations of a call: OptiLLM, ours with and without ratings, auto",
    )
