"""How long one request takes when every call takes the same time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.api import simulated
from bench.figures import ratio
from bench.loops import Loop, easy, optillm_loop, our_loop
from bench.measure import medians
from bench.page import Claim, Section, table
from bench.pictures import AUTO, GREY, OPTILLM, OURS, canvas, save

NAMES = ("OptiLLM", "ours", "ours, auto")
RATINGS = {0.5: "half as long", 1.0: "as long"}
LATENCIES = {0.05: 5, 0.2: 3, 1.0: 1}  # seconds of a call: requests of each loop
QUICK = {0.05: 1}
REFERENCE = 0.2  # seconds of a call for which the claims are checked

TEXT = """\
One request at a time; the loops take turns, and the figures are medians. Every call takes the seconds of the first
column, a rating half as many or as many. The critical path is plan, execute, review, final and rating, one after
the other: no loop that makes these steps can be quicker. OptiLLM's makes its six calls for ratings one by one.
`auto` is asked a question on which its plans agree: plan, execute, final.

The rows of 1 s are a first request, to an API that says nothing of limits: before its first reply four calls go out at
once, then two more for each, which costs it two rounds. In the other rows a request before them is not counted.

{rows}

{picture}"""


def run(pictures: Path, quick: bool) -> Section:
    """Measure both loops, and effort `auto`, at several latencies."""
    latencies = QUICK if quick else LATENCIES
    seen = {
        (seconds, rating): _measure(seconds, rating, repeat)
        for seconds, repeat in latencies.items()
        for rating in RATINGS
    }
    head = ["a call (s)", "ratings", "critical path (s)", "OptiLLM (s)", "ours (s)", "× critical path", "× OptiLLM",
            "`auto` (s)", "× OptiLLM"]  # fmt: skip
    rows = []
    for (seconds, rating), (optillm, ours, auto) in seen.items():
        path = seconds * (4 + rating)
        figures = [f"{value:.3f}" for value in (optillm, ours)]
        figures += [f"{ours / path:.2f}", f"{ours / optillm:.2f}", f"{auto:.3f}", f"{auto / optillm:.2f}"]
        rows.append([seconds, RATINGS[rating], f"{path:.3g}", *figures])
    text = TEXT.format(rows=table(head, rows), picture=_draw(seen, pictures))
    return Section("How long a request takes", text, _claims(seen, REFERENCE if REFERENCE in latencies else 0.05))


def _measure(seconds: float, rating: float, repeat: int) -> tuple[float, float, float]:
    with simulated(seconds=seconds, rating=rating) as api:
        loops: dict[str, Loop] = {
            "OptiLLM": optillm_loop(api.url),
            "ours": our_loop(api.url),
            "ours, auto": our_loop(api.url, effort="auto"),
        }
        optillm, ours, auto = medians(loops, easy, repeat).values()
        return optillm, ours, auto


def _claims(seen: Mapping[tuple[float, float], tuple[float, float, float]], at: float) -> list[Claim]:
    claims = []
    for rating, limit in ((0.5, 0.65), (1.0, 0.55)):
        optillm, ours, auto = seen[at, rating]
        path = at * (4 + rating)
        what = f"ratings {RATINGS[rating]} (calls of {at:g} s)"
        claims += [
            Claim(f"wait, of the critical path, {what}", "≤ 1.10 ×", ratio(ours, path), ours <= 1.10 * path),
            Claim(f"wait, of OptiLLM's, {what}", f"≤ {limit} ×", ratio(ours, optillm), ours <= limit * optillm),
            Claim(f"wait of `auto`, of OptiLLM's, plans agree, {what}", "≤ 0.45 ×", ratio(auto, optillm),
                  auto <= 0.45 * optillm),
        ]  # fmt: skip
    return claims


def _draw(seen: Mapping[tuple[float, float], tuple[float, float, float]], pictures: Path) -> str:
    figure, axes = canvas(7.5, 3)
    labels = [f"{seconds:g} s,\nratings {RATINGS[rating]}" for seconds, rating in seen]
    for index, (name, colour) in enumerate(zip(NAMES, (OPTILLM, OURS, AUTO), strict=True)):
        places = [place + (index - 1) * 0.27 for place in range(len(seen))]
        heights = [times[index] / seconds for (seconds, _), times in seen.items()]
        axes.bar(places, heights, width=0.25, color=colour, label=name)
    for place, (_, rating) in enumerate(seen):
        path = 4 + rating
        axes.hlines(
            path, place - 0.42, place + 0.42, color=GREY, linestyle="--", label="" if place else "critical path"
        )
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    axes.set_xlabel("time of a call")
    axes.set_ylabel("time of a request,\nin times of a call")
    axes.grid(axis="x", visible=False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return save(
        figure, pictures, "waiting", "time of a request at several times of a call: OptiLLM, ours, ours with auto"
    )
