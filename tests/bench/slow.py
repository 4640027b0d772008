"""Duration of requests if some calls are slow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

from bench.api import simulated
from bench.figures import percentile
from bench.loops import easy, optillm_loop, our_loop
from bench.measure import run_parallel
from bench.page import Section, table
from bench.pictures import AUTO, OPTILLM, OURS, canvas, save

SECONDS = 0.1  # per call that is not slow
SHARES = (0.02, 0.1)
SHOWN = 0.02
FACTOR = 10
CLIENTS = 6
COLOURS = {"OptiLLM": OPTILLM, "ours": OURS, "ours, auto": AUTO}

TEXT = """\
{count} requests of each loop, {clients} at a time; calls take {seconds:g} s, ratings too, and some take {factor} times
as long. The more calls a request waits for, the more likely one of them is slow: OptiLLM's loop waits for 18 attempts
at a plan, of which it uses 9, and for six ratings in sequence. `auto` gets questions on which its plans agree. Neither
loop repeats slow calls.

{rows}

{picture}"""


def run(pictures: Path, quick: bool) -> Section:
    """Measure the loops with several shares of slow calls."""
    count = 4 if quick else 32
    shares = (SHOWN,) if quick else SHARES
    measured = {share: _measure(share, count) for share in shares}
    rows = []
    for share, loops in measured.items():
        for name, seconds in loops.items():
            values = (mean(seconds), percentile(seconds, 0.5), percentile(seconds, 0.95))
            rows.append([f"{share:.0%}", name, *(f"{value:.2f}" for value in values)])
    shown = table(["slow calls", "", "mean (s)", "median (s)", "95th percentile (s)"], rows)
    picture = _draw(measured[SHOWN], pictures)
    text = TEXT.format(count=count, clients=CLIENTS, seconds=SECONDS, factor=FACTOR, rows=shown, picture=picture)
    return Section("Slow calls", text)


def _measure(share: float, count: int) -> Mapping[str, Sequence[float]]:
    with simulated(f"--slow-share={share}", f"--slow-factor={FACTOR}", seconds=SECONDS) as api:
        loops = {
            "OptiLLM": optillm_loop(api.url),
            "ours": our_loop(api.url),
            "ours, auto": our_loop(api.url, effort="auto"),
        }
        return {
            name: [
                result.seconds for result in run_parallel(loop, [easy(f"{index}.{n}") for n in range(count)], CLIENTS)
            ]
            for index, (name, loop) in enumerate(loops.items())
        }


def _draw(measured: Mapping[str, Sequence[float]], pictures: Path) -> str:
    figure, axes = canvas(7, 2.8)
    for name, seconds in measured.items():
        axes.ecdf(list(seconds), color=COLOURS[name], label=name, linewidth=2)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("share of requests\nanswered")
    axes.set_title(f"{SHOWN:.0%} of calls take {FACTOR} times as long", fontsize=10)
    axes.legend(loc="lower right")
    return save(figure, pictures, "slow", "share of requests answered over time if some calls are slow")
