"""Rules by which effort `auto` could stop and choose, replayed call by call on the same simulated questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from simulator.loops import MODEL

from bench.accuracy import points
from bench.page import Section, table
from bench.trials import Ask, Ours, Trial, World, accuracy, gain, spent, submit, workers
from optillm_cerebras_cepo.cepo.judgement import read_rating
from optillm_cerebras_cepo.cepo.stopping import confidence, decided
from optillm_cerebras_cepo.simulator import Asked, Kind, SimQuestion, StatisticalModel, Statistics, read_answer
from optillm_cerebras_cepo.simulator.tokens import count

PLANS = 3  # of a candidate
QUESTIONS = 2_000
POOR, ALIKE = 0.3, 0.3  # the other worlds: rater_wrong, rho


@dataclass(frozen=True)
class Rule:
    """How to go on and how to choose.

    Attributes:
        window: a candidate whose plans agree ends the search: early-stopping self-consistency, Li et al. 2024.
        sure: so does a leading answer that Adaptive-Consistency's Beta criterion (Aggarwal et al. 2023) is as sure of,
            0 to 1, or that can no longer be caught up with; None: neither is asked.
        reviews: whether disagreeing plans are reviewed. Else the most frequent answer so far is the candidate's.
        counted: whether the review's answer is a vote.
        judged: whether candidates that disagree are rated at the end, one call each, and the best rated wins, ties by
            votes. Else votes alone choose.
        most: candidates.

    """

    window: bool = True
    sure: float | None = 0.95
    reviews: bool = True
    counted: bool = True
    judged: bool = True
    most: int = 3

    def start(self, statistics: Statistics) -> Ask:
        """With one simulated model for all questions."""
        model = StatisticalModel(statistics)
        return lambda question: _Replay(self, question, model).run()


AUTO = Rule()  # what flow.py does; the page shows how near the replay comes to the loop itself
RATED = replace(AUTO, judged=True)
VOTED = replace(AUTO, judged=False)
RULES: Mapping[str, Rule] = {
    "votes choose; agreeing plans (a), then Beta at 0.95": VOTED,
    "votes choose; agreeing plans alone (b)": replace(VOTED, sure=None),
    "votes choose; agreeing plans, then Beta at 0.9": replace(VOTED, sure=0.9),
    "votes choose; Beta at 0.8 alone (c)": replace(VOTED, window=False, sure=0.8),
    "votes choose; Beta at 0.9 alone (c)": replace(VOTED, window=False, sure=0.9),
    "votes choose; Beta at 0.95 alone (c)": replace(VOTED, window=False),
    "votes choose; never early (d)": replace(VOTED, window=False, sure=None),
    "votes choose; (a), a review's answer is no vote": replace(VOTED, counted=False),
    "votes choose; (a), nothing is reviewed": replace(VOTED, reviews=False),
    "rated; agreeing plans (a), then Beta at 0.95": RATED,
    "rated; agreeing plans alone (b)": replace(RATED, sure=None),
    "rated; Beta at 0.9 alone (c)": replace(RATED, window=False, sure=0.9),
    "rated; never early (d)": replace(RATED, window=False, sure=None),
    "rated; (a), a review's answer is no vote": replace(RATED, counted=False),
    "rated; (a), nothing is reviewed": replace(RATED, reviews=False),
    "rated; (a), up to five candidates": replace(RATED, most=5),
}


class _Replay:
    """One question under one rule: the calls that `auto` would make, without its threads."""

    def __init__(self, rule: Rule, question: SimQuestion, model: StatisticalModel) -> None:
        self._rule, self._question, self._model = rule, question, model
        self._calls = self._tokens = 0
        self._votes: Counter[str] = Counter()

    def run(self) -> Trial:
        candidates: list[str] = []
        for number in range(1, self._rule.most + 1):
            solutions = [self._solve() for _ in range(PLANS)]
            self._votes.update(solutions)
            agreed = len(set(solutions)) == 1
            candidates.append(self._candidate(solutions, agreed))
            if self._over(agreed, number):
                break
        right = self._choose(candidates) == self._question.answer
        return Trial(self._question.level, right, self._calls, self._tokens)

    def _call(self, kind: Kind, *shown: str) -> str:
        reply = self._model.reply(Asked(kind, self._question, shown), MODEL)
        self._calls += 1
        self._tokens += count(reply)
        return reply

    def _answer(self, kind: Kind, *shown: str) -> str:
        return read_answer(self._call(kind, *shown), self._question.id) or ""

    def _solve(self) -> str:
        self._call(Kind.PLAN)
        return self._answer(Kind.EXECUTE)

    def _candidate(self, solutions: Sequence[str], agreed: bool) -> str:
        if agreed:
            answer = solutions[0]
        elif self._rule.reviews:
            answer = self._answer(Kind.REVIEW, *solutions)
            self._votes[answer] += self._rule.counted
        else:
            answer = max(solutions, key=self._votes.__getitem__)
        return self._answer(Kind.FINAL, answer)

    def _over(self, agreed: bool, number: int) -> bool:
        rule, counts = self._rule, list(self._votes.values())
        if rule.window and agreed:
            return True
        left = (rule.most - number) * (PLANS + (rule.reviews and rule.counted))
        return rule.sure is not None and (confidence(counts) >= rule.sure or decided(counts, left))

    def _choose(self, candidates: Sequence[str]) -> str:
        votes = Counter(candidates) + self._votes  # in this order, which decides among equals
        if self._rule.judged and len(set(candidates)) > 1:
            ratings = [read_rating(self._call(Kind.RATING, answer)) or 0.0 for answer in candidates]
            return candidates[max(range(len(candidates)), key=lambda at: (ratings[at], votes[candidates[at]]))]
        leading = max(votes, key=votes.__getitem__)
        return leading if leading in candidates else candidates[0]


def run(pictures: Path, quick: bool) -> Section:
    """Replay every rule in three worlds, and ask the loop itself in the first."""
    n = 60 if quick else QUESTIONS
    worlds = (World(n), World(n, rater_wrong=POOR), World(n, rho=ALIKE))
    with workers(quick) as pool:
        loop = submit(pool, Ours("auto"), worlds[0])
        asked = {name: [submit(pool, rule, world) for world in worlds] for name, rule in RULES.items()}
        trials = {"`auto` itself": [loop()], **{name: [part() for part in parts] for name, parts in asked.items()}}
    return Section("How `auto` stops and chooses, simulated", f"{_explained(n)}\n\n{_table(trials)}\n\n{READING}")


def _explained(n: int) -> str:
    return f"""After each candidate (three plans carried out, and a review if they disagree) `auto` decides whether to
go on, and at the end which candidate answers. Here are other rules for both, replayed call by call on {n:,} questions
of the same mix, all on the same draws; bold is what `auto` does. The first row is the loop itself: it differs from its
replay where a reply was cut at a lowered token limit, and so drawn again. What such a simulation cannot show stands
above.

- (a), (b): a candidate whose plans agree ends the search. Early-stopping self-consistency (Li et al. 2024, arXiv
  2401.10480) with the candidate as its window.
- (c): the search ends when the leading answer stays ahead of the next with this probability. Adaptive-Consistency's
  Beta criterion (Aggarwal et al. 2023, arXiv 2305.11860) over all votes: each plan's answer, and each review's.
- (d): always three candidates.
- Rated: candidates that disagree are rated at the end, one call each; the best rated one answers, ties go by votes.

"Fewest" are the calls for a question whose plans agree at once, of which 8 are allowed. "Poor judge" is `rater_wrong` =
{POOR}. Differences are paired, with their 95 % interval."""


def _table(trials: Mapping[str, Sequence[Sequence[Trial]]]) -> str:
    base = next(trials[name][0] for name, rule in RULES.items() if rule == AUTO)
    rows = []
    for name, (found, *others) in trials.items():
        right, tokens = accuracy(found), spent(found).mean
        rows.append(
            [
                f"**{name}**" if found is base else name,
                f"{right.mean:.1f} ± {right.half:.1f}",
                "" if found is base else points(gain(found, base)),
                f"{fmean(trial.calls for trial in found):.1f}",
                min(trial.calls for trial in found),
                f"{tokens:,.0f}",
                f"{tokens / spent(base).mean:.2f} ×",
                *([f"{accuracy(of).mean:.1f}" for of in others] or ["", ""]),
            ]
        )
    head = ["", "right, %", "difference, points", "calls", "fewest", "tokens", "of the bold", "poor judge, %"]
    return table([*head, f"ρ = {ALIKE}, %"], rows)


# The replays have no threads: these figures are the same in each run, as long as simulator and rules are.
READING = """What follows:

- **Stopping: agreeing plans, then Beta at 0.95.** Agreeing plans alone (b) cost 4 % more tokens for 0.2 points at most.
  Beta at 0.95 alone cannot stop on three equal votes, of which it is 0.9375 sure, and makes 14 calls where 7 do. At 0.9
  alone it comes to the same as both together, within half a point and 2 % of the tokens; at 0.8 it loses a point. Never
  stopping early takes 1.6 × the tokens for half a point to one.
- **Choosing: ratings for candidates that disagree.** They bring 3.5 points for 6 % more tokens; with the poor judge
  still half a point.
- **Reviews stay.** Without them the accuracy falls by 2 points, by 3 with ratings, for 5 % of the tokens.
- **A review's answer stays a vote.** It saves 4 % of the tokens, for 0.3 points at most.
- Five candidates instead of three take 1.2 × the tokens for less than a point more, and for a point less where samples
  correlate: left to `bestofn_n`."""
