"""Accuracy and tokens of each effort, a single call and OptiLLM's default, on a model with assumed skills."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from statistics import fmean

from statistical_model.model import Skills
from statistical_model.population import Mix
from statistical_model.texts import Lengths

from bench.page import Claim, Section, table
from bench.pictures import AUTO, GREY, OPTILLM, OURS, canvas, save
from bench.trials import (
    Estimate,
    Method,
    OptiLlm,
    Ours,
    Scenario,
    Trial,
    accuracy,
    by_level,
    difference,
    submit,
    tokens_spent,
    workers,
)

DEFAULT, SINGLE, AUTO_EFFORT, MEDIUM = "OptiLLM's default", "single call (`none`)", "`auto`", "`medium`"
METHODS: Mapping[str, Method] = {
    SINGLE: Ours("none"),
    "`low`": Ours("low"),
    AUTO_EFFORT: Ours("auto"),
    MEDIUM: Ours("medium"),
    "`high`": Ours("high"),
    DEFAULT: OptiLlm(),
}
COLOURS = {SINGLE: GREY, AUTO_EFFORT: AUTO, DEFAULT: OPTILLM}
QUESTIONS, FEWER, AGAIN = 2_000, 1_000, 500
RATER_WRONG, CORRELATIONS = (0.7, 0.5, 0.3), (0.7, 0.3, 0.0)
JUDGE_SOLVES = (0.0, 0.5, 0.9)
MOST_TOKENS = 0.4  # of OptiLLM's default

Trials = Mapping[str, Sequence[Trial]]


def run(pictures: Path, quick: bool) -> Section:
    """Measure all methods in all scenarios."""
    n, fewer, again = (30, 4, 10) if quick else (QUESTIONS, FEWER, AGAIN)
    with workers(quick) as pool:
        results = {name: submit(pool, method, Scenario(n)) for name, method in METHODS.items()}
        others = _submit_scenarios(pool, fewer)
        rated = {
            (solves, others): submit(pool, Ours("medium", others), Scenario(fewer, judge_solves=solves))
            for solves in JUDGE_SOLVES
            for others in (False, True)
        }
        repeated = {name: submit(pool, METHODS[name], Scenario(n), again) for name in (AUTO_EFFORT, DEFAULT)}
        trials: Trials = {name: result() for name, result in results.items()}
        scenarios: dict[Scenario, tuple[Sequence[Trial], ...]] = {
            scenario: tuple(result() for result in results) for scenario, results in others.items()
        }
        judged = {key: result() for key, result in rated.items()}
        repeats: Trials = {name: result() for name, result in repeated.items()}
    scenarios = {Scenario(n): (trials[AUTO_EFFORT], trials[DEFAULT])} | scenarios
    parts = [
        _assumptions(n),
        _draw(pictures, trials),
        _methods(trials),
        _against_default(trials),
        "By level: accuracy in % ± half the 95 % interval, and the mean completion tokens per question.",
        _levels(trials),
        "**Sensitivity to the judge and to correlated samples.** `rater_wrong` is the probability that the judge"
        " recognizes a wrong answer. The simulated judge's errors are independent. A real judge is often the same model"
        " as the solver, makes the same mistakes, and is therefore worse, like a lower `rater_wrong`. ρ is the"
        " correlation between samples of one question: with ρ > 0 plans also agree on wrong answers, which `auto`"
        f" treats as certain, while the judge's errors stay independent. {n:,} questions in the first row, {fewer:,} in"
        " the others.",
        _sensitivity(scenarios),
        "**Who rates.** A judge that solves the question itself, with probability *solves*, and rates an answer by its"
        " own: the model that answered then makes its own mistakes again, a model of another family"
        f" (`rating_model=auto`) makes others. Effort `medium`, {fewer:,} questions; both models have the same skills.",
        _judges(judged),
        _repeatable(trials, repeats),
    ]
    return Section("Accuracy and tokens, simulated", "\n\n".join(parts), _claims(trials))


def _submit_scenarios(pool: Executor, n: int) -> dict[Scenario, tuple[Callable[[], list[Trial]], ...]]:
    """Start `auto` and OptiLLM's default in all scenarios but the first."""
    scenarios = [Scenario(n, rater_wrong, rho) for rho in CORRELATIONS for rater_wrong in RATER_WRONG]
    return {
        scenario: (submit(pool, METHODS[AUTO_EFFORT], scenario), submit(pool, METHODS[DEFAULT], scenario))
        for scenario in scenarios
        if scenario != Scenario(n)
    }


def _claims(trials: Trials) -> tuple[Claim, ...]:
    points_more = difference(trials[MEDIUM], trials[DEFAULT])
    share = tokens_spent(trials[AUTO_EFFORT]).mean / tokens_spent(trials[DEFAULT]).mean
    return (
        Claim(
            "accuracy of `medium` minus that of OptiLLM's default, points, same simulated questions",
            "upper end of the 95 % interval at least 0",
            points(points_more),
            points_more.high >= 0,
        ),
        Claim(
            "tokens of `auto` on mixed questions, relative to OptiLLM's default",
            f"at most {MOST_TOKENS} ×",
            f"{share:.2f} ×",
            share <= MOST_TOKENS,
            headline=True,
        ),
    )


def _assumptions(n: int) -> str:
    skills, mix, lengths = Skills(), Mix(), Lengths()
    return f"""This shows how tokens and accuracy relate for an assumed model, an assumed judge and an assumed mix of
questions, and how the relation depends on the assumptions. It does not show a real model's accuracy.

Assumed, for {n:,} questions:

- {mix.easy:.0%} are easy (a sample is right with p = 0.85 to 0.99), {mix.medium:.0%} medium (0.55 to 0.85, with one
  frequent wrong answer), {mix.hard:.0%} hard (0.25 to 0.55, eight equally frequent wrong answers: a vote over many
  samples is right), {mix.misleading:.0%} misleading (0.15 to 0.4, and one wrong answer is more probable than the right
  one: a vote over many samples is wrong).
- Samples of a question correlate with ρ = {Scenario.rho:g}: one model errs alike in its samples. In 29,763 real pairs
  of a question and a model (3 to 40 samples each: Epoch AI's logs of GPQA Diamond and OTIS Mock AIME, reasoning-gym,
  MATH, GSM8K, ASDiv, TabMWP, date, CREPE) the correlation of errors is 0.57 to 0.76, in single sets 0.40 to 0.87. All
  plans are equally good.
- A review of several answers finds the right one among them with probability {skills.review_finds:g}; otherwise it
  keeps the most frequent one with probability {skills.review_keeps:g}, or samples again. A final answer never deviates.
- The judge rates a right answer 1 with probability {skills.rater_right:g} and a wrong one 0 with probability
  {skills.rater_wrong:g}; its errors are independent.
- Replies of all steps have {lengths.execute:g} tokens on average, lognormal with σ = {lengths.sigma:g}.

Both loops are the real ones, called without HTTP. The completion tokens of all calls count, including those that
OptiLLM's loop does not report and those of cut replies that our loop requested again. Intervals are 95 % intervals:
Wilson's for accuracies, and those of the paired differences per question for differences."""


def _draw(pictures: Path, trials: Trials) -> str:
    figure, axes = canvas(7.0, 4.0)
    for name, found in trials.items():
        right, tokens, colour = accuracy(found), tokens_spent(found), COLOURS.get(name, OURS)
        axes.errorbar(
            tokens.mean, right.mean, [[right.mean - right.low], [right.high - right.mean]], tokens.half,
            fmt="o", color=colour, capsize=3,
        )  # fmt: skip
        # Names are below the bars, those of the outer three beside them.
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
        xlabel="mean completion tokens per question (logarithmic)",
        ylabel="right answers, % (simulated)",
    )
    ticks = [500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000]
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.minorticks_off()
    return save(
        figure,
        pictures,
        "accuracy",
        "simulated accuracy and tokens of a single call, each effort and OptiLLM's default",
    )


def _methods(trials: Trials) -> str:
    base = trials[DEFAULT]
    rows = []
    for name, found in trials.items():
        right, tokens = accuracy(found), tokens_spent(found)
        rows.append(
            [
                name,
                f"{right.mean:.1f} ({right.low:.1f} to {right.high:.1f})",
                "" if found is base else points(difference(found, base)),
                f"{fmean(trial.calls for trial in found):.1f}",
                f"{tokens.mean:,.0f} ± {tokens.half:,.0f}",
                f"{tokens.mean / tokens_spent(base).mean:.2f} ×",
            ]
        )
    head = [
        "",
        "right, %",
        "difference to OptiLLM's default, points",
        "calls",
        "tokens",
        "tokens relative to OptiLLM's default",
    ]
    return table(head, rows)


def _against_default(trials: Trials) -> str:
    """Say what `auto` saves and costs."""
    auto, default = trials[AUTO_EFFORT], trials[DEFAULT]
    share = tokens_spent(auto).mean / tokens_spent(default).mean
    return (
        f"With samples that err alike, `auto` differs from OptiLLM's default by {points(difference(auto, default))}"
        f" points, from a single call by {points(difference(auto, trials[SINGLE]))}, for {share:.2f} × the tokens of"
        " the default: plans that agree on a wrong answer end it, and nothing is rated. Where an error costs more than"
        " a few calls, use `medium`."
    )


def _levels(trials: Trials) -> str:
    rows = []
    for name, found in trials.items():
        levels = by_level(found).values()
        rows.append(
            [
                name,
                *(f"{accuracy(of).mean:.1f} ± {accuracy(of).half:.1f}; {tokens_spent(of).mean:,.0f}" for of in levels),
            ]
        )
    sizes = {level: len(of) for level, of in by_level(trials[DEFAULT]).items()}
    return table(["", *(f"{level} ({size})" for level, size in sizes.items())], rows)


def _sensitivity(scenarios: Mapping[Scenario, tuple[Sequence[Trial], ...]]) -> str:
    rows = [
        [
            scenario.rater_wrong,
            f"{scenario.rho:g}",
            f"{accuracy(default).mean:.1f}",
            f"{accuracy(auto).mean:.1f}",
            points(difference(auto, default)),
            f"{tokens_spent(auto).mean / tokens_spent(default).mean:.2f} ×",
        ]
        for scenario, (auto, default) in scenarios.items()
    ]
    head = ["`rater_wrong`", "ρ", "OptiLLM's default, %", "`auto`, %", "difference, points", "tokens of `auto`"]
    return table(head, rows)


def _judges(judged: Mapping[tuple[float, bool], Sequence[Trial]]) -> str:
    rows = []
    for solves in JUDGE_SOLVES:
        own, other = (judged[solves, others] for others in (False, True))
        rows.append(
            [
                f"{solves:g}",
                f"{accuracy(own).mean:.1f}",
                f"{accuracy(other).mean:.1f}",
                points(difference(other, own)),
            ]
        )
    return table(["solves", "rated by itself, %", "by another family, %", "difference, points"], rows)


def _repeatable(trials: Trials, repeats: Trials) -> str:
    """Describe how much a second run with the same seeds differs."""
    differences = []
    for name, second in repeats.items():
        first = trials[name][: len(second)]
        other = sum(one.right != two.right for one, two in zip(first, second, strict=True))
        differences.append(
            f"{name} {other} of {len(second)} answers ({accuracy(first).mean:.1f} and {accuracy(second).mean:.1f} %)"
        )
    return (
        "**Repeatability.** Seeds determine questions and draws, so a single call gives the same answer in each run."
        " Parallel calls draw in the order of their threads, and OptiLLM's loop uses the first three plans that finish."
        f" In a second run of the same questions, correctness changed for {' and '.join(differences)}."
    )


def points(value: Estimate) -> str:
    """Format points with their interval."""
    return f"{value.mean:+.1f} ({value.low:+.1f} to {value.high:+.1f})".replace("-", "−")
