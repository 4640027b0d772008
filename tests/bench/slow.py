"""Duration of requests if some calls are slow, with and without second calls for late ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from bench.api import simulated
from bench.figures import percentile, ratio
from bench.loops import Loop, easy, optillm_loop, our_loop
from bench.measure import run_parallel
from bench.page import Claim, Section, table
from bench.pictures import AUTO, GREY, OPTILLM, OURS, canvas, save
from optillm_cerebras_cepo.runtime import Runtime

SECONDS = 0.1  # per call that is not slow
SHARES = (0.0, 0.02, 0.1)
CALM, TARGETED = SHARES[0], SHARES[-1]
FACTOR = 10
CLIENTS = 6
LEARNING = 8  # requests that are not measured: after them, the usual times of all steps are known
OURS_HEDGED, OURS_PLAIN = "ours", "ours, no second calls"
COLOURS = {"OptiLLM": OPTILLM, OURS_HEDGED: OURS, OURS_PLAIN: GREY, "ours, auto": AUTO}

TEXT = """\
{count} requests of each loop, {clients} at a time, after {learning} that are not measured; calls take {seconds:g} s,
ratings too, and some take {factor} times as long. The more calls a request waits for, the more likely one of them is
slow: OptiLLM's loop waits for 18 attempts at a plan, of which it uses 9, and for six ratings in sequence. Ours makes a
second call when one is later than usual, and the first reply counts (`hedged_calls`); at most one call in ten is a
second one. `auto` gets questions on which its plans agree. Relative figures compare with the same loop without slow
calls; calls that are cancelled count.

{rows}

{picture}"""


@dataclass(frozen=True)
class Measured:
    """Seconds of each request of a loop, and the mean calls of a request."""

    seconds: Sequence[float]
    calls: float

    @property
    def tail(self) -> float:
        """The 95th percentile of the seconds."""
        return percentile(self.seconds, 0.95)


def run(pictures: Path, quick: bool) -> Section:
    """Measure the loops with several shares of slow calls."""
    count = 4 if quick else 96
    measured = {share: _measure(share, count) for share in ((CALM, TARGETED) if quick else SHARES)}
    rows = []
    for share, loops in measured.items():
        for name, one in loops.items():
            calm = measured[CALM][name]
            relative = [(mean(one.seconds), mean(calm.seconds)), (one.tail, calm.tail), (one.calls, calm.calls)]
            values = (mean(one.seconds), percentile(one.seconds, 0.5), one.tail)
            rows.append(
                [
                    f"{share:.0%}",
                    name,
                    *(f"{value:.2f}" for value in values),
                    f"{one.calls:.1f}",
                    *(ratio(*pair) for pair in relative),
                ]
            )
    head = ["slow calls", "", "mean (s)", "median (s)", "95th percentile (s)", "calls"]
    text = TEXT.format(
        count=count,
        clients=CLIENTS,
        learning=LEARNING,
        seconds=SECONDS,
        factor=FACTOR,
        rows=table([*head, "relative mean", "relative 95th percentile", "relative calls"], rows),
        picture=_draw({name: one.seconds for name, one in measured[TARGETED].items()}, pictures),
    )
    return Section("Slow calls", text, () if quick else _claims(measured))


def _claims(measured: Mapping[float, Mapping[str, Measured]]) -> tuple[Claim, ...]:
    slow, calm = measured[TARGETED][OURS_HEDGED], measured[CALM][OURS_HEDGED]
    what = f"with {TARGETED:.0%} of calls {FACTOR} times as slow, relative to no slow ones"
    figures = [
        ("mean duration", mean(slow.seconds), mean(calm.seconds), 1.8),
        ("95th percentile of the duration", slow.tail, calm.tail, 2.2),
        ("calls", slow.calls, measured[CALM][OURS_PLAIN].calls, 1.12),
    ]
    return tuple(
        Claim(f"{name} of `medium` {what}", f"≤ {most:g} ×", ratio(value, base), value <= most * base)
        for name, value, base, most in figures
    )


def _measure(share: float, count: int) -> Mapping[str, Measured]:
    with simulated(f"--slow-share={share}", f"--slow-factor={FACTOR}", seconds=SECONDS) as api:
        loops: dict[str, Loop] = {
            "OptiLLM": optillm_loop(api.url),
            OURS_PLAIN: our_loop(api.url, runtime=Runtime(), hedged_calls=False),
            OURS_HEDGED: our_loop(api.url, runtime=Runtime()),
            "ours, auto": our_loop(api.url, runtime=Runtime(), effort="auto"),
        }
        measured = {}
        for index, (name, loop) in enumerate(loops.items()):
            run_parallel(loop, [easy(f"{index}.{number}") for number in range(-LEARNING, 0)], CLIENTS)
            api.clear()
            results = run_parallel(loop, [easy(f"{index}.{number}") for number in range(count)], CLIENTS)
            measured[name] = Measured([result.seconds for result in results], len(api.calls()) / count)
        return measured


def _draw(measured: Mapping[str, Sequence[float]], pictures: Path) -> str:
    figure, axes = canvas(7, 2.8)
    for name, seconds in measured.items():
        axes.ecdf(list(seconds), color=COLOURS[name], label=name, linewidth=2)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("share of requests\nanswered")
    axes.set_title(f"{TARGETED:.0%} of calls take {FACTOR} times as long", fontsize=10)
    axes.legend(loc="lower right")
    return save(figure, pictures, "slow", "share of requests answered over time if some calls are slow")
