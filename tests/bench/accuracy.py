"""Accuracy against tokens: every effort, a single call and OptiLLM's default, on a simulated model of known skills."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from statistics import fmean

from bench.page import Claim, Section, table
from bench.pictures import AUTO, GREY, OPTILLM, OURS, canvas, save
from bench.trials import Estimate, OptiLlm, Ours, Trial, Way, World, accuracy, by_level, gain, spent, submit, workers
from optillm_cerebras_cepo.simulator import Lengths, Mix, Statistics

DEFAULT, SINGLE, AS_NEEDED = "OptiLLM's default", "single call (`none`)", "`auto`"
WAYS: Mapping[str, Way] = {
    SINGLE: Ours("none"),
    "`low`": Ours("low"),
    AS_NEEDED: Ours("auto"),
    "`medium`": Ours("medium"),
    "`high`": Ours("high"),
    DEFAULT: OptiLlm(),
}
COLOURS = {SINGLE: GREY, AS_NEEDED: AUTO, DEFAULT: OPTILLM}
QUESTIONS, FEWER, AGAIN = 2_000, 1_000, 500
JUDGES, CORRELATIONS = (0.7, 0.5, 0.3), (0.0, 0.3)
MOST_TOKENS = 0.4  # of OptiLLM's default

Trials = Mapping[str, Sequence[Trial]]


def run(pictures: Path, quick: bool) -> Section:
    """Ask everything, draw, and say what follows."""
    n, fewer, again = (30, 4, 10) if quick else (QUESTIONS, FEWER, AGAIN)
    with workers(quick) as pool:
        asked = {name: submit(pool, way, World(n)) for name, way in WAYS.items()}
        others = _submit_worlds(pool, fewer)
        repeated = {name: submit(pool, WAYS[name], World(n), again) for name in (AS_NEEDED, DEFAULT)}
        trials: Trials = {name: result() for name, result in asked.items()}
        worlds: dict[World, tuple[Sequence[Trial], ...]] = {
            world: tuple(result() for result in results) for world, results in others.items()
        }
        repeats: Trials = {name: result() for name, result in repeated.items()}
    worlds = {World(n): (trials[AS_NEEDED], trials[DEFAULT])} | worlds
    parts = [
        _assumptions(n),
        _draw(pictures, trials),
        _methods(trials),
        "By level: accuracy in % ± half the 95 % interval, and the mean completion tokens of a question.",
        _levels(trials),
        "**How much hangs on the judge, and on independent samples.** `rater_wrong` is how often the judge sees that a"
        " wrong answer is wrong. The simulated one errs anew in each call. A real one is often the same model, falls"
        " for the wrong answer that the solver fell for, and is so a worse one: lower values stand for it. ρ is the"
        " correlation between samples of one question: with it, plans also agree on what is wrong, which `auto` takes"
        f" for certainty, while the judge still errs independently. {n:,} questions in the first row, {fewer:,} in each"
        " other.",
        _sensitivity(worlds),
        _repeatable(trials, repeats),
    ]
    return Section("Accuracy against tokens, simulated", "\n\n".join(parts), _claims(trials))


def _submit_worlds(pool: Executor, n: int) -> dict[World, tuple[Callable[[], list[Trial]], ...]]:
    """All but the documented one, by `auto` and by OptiLLM's default."""
    worlds = [World(n, judge, rho) for rho in CORRELATIONS for judge in JUDGES]
    return {
        world: (submit(pool, WAYS[AS_NEEDED], world), submit(pool, WAYS[DEFAULT], world))
        for world in worlds
        if (world.rater_wrong, world.rho) != (JUDGES[0], CORRELATIONS[0])
    }


def _claims(trials: Trials) -> tuple[Claim, ...]:
    difference = gain(trials[AS_NEEDED], trials[DEFAULT])
    share = spent(trials[AS_NEEDED]).mean / spent(trials[DEFAULT]).mean
    return (
        Claim(
            "accuracy of `auto` minus that of OptiLLM's default, points, same simulated questions",
            "upper end of the 95 % interval at least 0",
            points(difference),
            difference.high >= 0,
        ),
        Claim(
            "tokens of `auto` on the mixed set, of OptiLLM's default",
            f"at most {MOST_TOKENS} ×",
            f"{share:.2f} ×",
            share <= MOST_TOKENS,
        ),
    )


def _assumptions(n: int) -> str:
    skills, mix, lengths = Statistics(), Mix(), Lengths()
    return f"""What this can show is how spending relates to accuracy for a model, a judge and a mix of questions that
are all assumed, and how that changes with the assumptions. What it cannot show is a real model's accuracy: none was
asked here, and no percentage below is one.

Assumed, for {n:,} questions:

- {mix.easy:.0%} are easy (a sample is right with p = 0.85 to 0.99), {mix.medium:.0%} medium (0.55 to 0.85, with a
  favourite among the wrong answers), {mix.hard:.0%} hard (0.25 to 0.55, eight wrong answers alike: a vote of many is
  right), {mix.misleading:.0%} misleading (0.15 to 0.4, and one wrong answer is more probable than the right one: a vote
  of many is wrong).
- Samples of a question are independent (ρ = {mix.rho:g}); no plan is better than another.
- A review of several answers finds the right one among them with {skills.review_finds:g}, else keeps the most frequent
  one with {skills.review_keeps:g}, else samples anew. A final answer never slips.
- The judge rates a right answer 1 with {skills.rater_right:g} and a wrong one 0 with {skills.rater_wrong:g}, and errs
  anew each time.
- A reply of any step has {lengths.execute:g} tokens in the mean, lognormal with σ = {lengths.sigma:g}.

Both loops are the real ones, called without HTTP. All completion tokens of all calls count, also those that OptiLLM's
loop does not report, and those of cut replies that ours asked for again. Intervals are 95 %: Wilson's for an accuracy,
for a difference that of the paired differences, question by question."""


def _draw(pictures: Path, trials: Trials) -> str:
    figure, axes = canvas(7.0, 4.0)
    for name, found in trials.items():
        right, tokens, colour = accuracy(found), spent(found), COLOURS.get(name, OURS)
        axes.errorbar(
            tokens.mean, right.mean, [[right.mean - right.low], [right.high - right.mean]], tokens.half,
            fmt="o", color=colour, capsize=3,
        )  # fmt: skip
        # Where there is room: names below the bars, the outer three beside them.
        outer = name in (SINGLE, "`high`", DEFAULT)
        axes.annotate(
            name.replace("`", ""),
            (tokens.mean, right.mean if outer else right.low),
            (9, -4) if outer else (0, -12),
            textcoords="offset points",
            color=colour,
            ha="left" if outer else "center",
        )
    axes.set(
        xscale="log",
        xlim=(300, 70_000),
        xlabel="mean completion tokens of a question (logarithmic)",
        ylabel="right answers, % (simulated)",
    )
    ticks = [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    return save(
        figure, pictures, "accuracy", "simulated accuracy against tokens: a single call, each effort, OptiLLM's default"
    )


def _methods(trials: Trials) -> str:
    base = trials[DEFAULT]
    rows = []
    for name, found in trials.items():
        right, tokens = accuracy(found), spent(found)
        rows.append(
            [
                name,
                f"{right.mean:.1f} ({right.low:.1f} to {right.high:.1f})",
                "" if found is base else points(gain(found, base)),
                f"{fmean(trial.calls for trial in found):.1f}",
                f"{tokens.mean:,.0f} ± {tokens.half:,.0f}",
                f"{tokens.mean / spent(base).mean:.2f} ×",
            ]
        )
    head = ["", "right, %", "minus OptiLLM's default, points", "calls", "tokens", "of OptiLLM's default"]
    return table(head, rows)


def _levels(trials: Trials) -> str:
    rows = []
    for name, found in trials.items():
        levels = by_level(found).values()
        rows.append(
            [name, *(f"{accuracy(of).mean:.1f} ± {accuracy(of).half:.1f}; {spent(of).mean:,.0f}" for of in levels)]
        )
    sizes = {level: len(of) for level, of in by_level(trials[DEFAULT]).items()}
    return table(["", *(f"{level} ({size})" for level, size in sizes.items())], rows)


def _sensitivity(worlds: Mapping[World, tuple[Sequence[Trial], ...]]) -> str:
    rows = [
        [
            world.rater_wrong,
            f"{world.rho:g}",
            f"{accuracy(default).mean:.1f}",
            f"{accuracy(auto).mean:.1f}",
            points(gain(auto, default)),
            f"{spent(auto).mean / spent(default).mean:.2f} ×",
        ]
        for world, (auto, default) in worlds.items()
    ]
    head = ["`rater_wrong`", "ρ", "OptiLLM's default, %", "`auto`, %", "difference, points", "tokens of `auto`"]
    return table(head, rows)


def _repeatable(trials: Trials, repeats: Trials) -> str:
    """How far another run of the same seeds comes to the same."""
    said = []
    for name, second in repeats.items():
        first = trials[name][: len(second)]
        other = sum(one.right != two.right for one, two in zip(first, second, strict=True))
        said.append(
            f"{name} {other} of {len(second)} answers ({accuracy(first).mean:.1f} and {accuracy(second).mean:.1f} %)"
        )
    return (
        "**How repeatable.** Questions and draws follow from seeds, and a single call is the same in each run. Parallel"
        " calls draw in the order in which their threads come to it, and OptiLLM's loop takes the three plans that are"
        f" there first. Asked again in this run, right became wrong or wrong right for {' and '.join(said)}."
    )


def points(value: Estimate) -> str:
    """With its interval, for a table."""
    return f"{value.mean:+.1f} ({value.low:+.1f} to {value.high:+.1f})".replace("-", "−")
