"""Compare rules for stopping and choosing in effort `auto`, replayed on the same simulated questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from statistical_model.calls import CallKind, ModelCall
from statistical_model.clients import MODEL
from statistical_model.model import Skills, StatisticalModel
from statistical_model.questions import SimQuestion
from statistical_model.texts import read_answer

from bench.accuracy import points
from bench.page import Section, table
from bench.trials import Ask, Ours, Scenario, Trial, accuracy, difference, submit, tokens_spent, workers
from optillm_cerebras_cepo.cepo.best_of_n import confidence, decided
from optillm_cerebras_cepo.cepo.verdicts import read_rating
from optillm_cerebras_cepo.simulator.tokens import count

PLANS = 3  # per candidate
QUESTIONS = 2_000
POOR, UNALIKE = 0.3, 0.0  # rater_wrong and rho of the other scenarios


@dataclass(frozen=True)
class Rule:
    """When to stop, and how to choose the answer.

    Attributes:
        window: stop after a candidate whose plans agree (early-stopping self-consistency, Li et al. 2024).
        first: plans of the first candidate after which `window` is checked too; the others are made if they differ.
        sure: stop if the Beta criterion of Adaptive-Consistency (Aggarwal et al. 2023) gives the leading answer at
            least this probability, 0 to 1, or if no other answer can overtake it; None: do not check.
        reviews: review disagreeing plans. Otherwise the candidate's answer is the most frequent one so far.
        counted: count the review's answer as a vote.
        judged: rate disagreeing candidates at the end, with one call each; the best rating wins, votes decide ties.
            Otherwise votes alone choose.
        most: largest number of candidates.

    """

    window: bool = True
    first: int = 2
    sure: float | None = 0.95
    reviews: bool = True
    counted: bool = True
    judged: bool = True
    most: int = 3

    def start(self, skills: Skills) -> Ask:
        """Use one simulated model for all questions."""
        model = StatisticalModel(skills)
        return lambda question: _Replay(self, question, model).run()


AUTO = Rule()  # what our loop does; the page shows how close the replay is to the loop itself
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
    "rated; (a), but three plans of the first candidate": replace(RATED, first=PLANS),
    "rated; agreeing plans alone (b)": replace(RATED, sure=None),
    "rated; Beta at 0.9 alone (c)": replace(RATED, window=False, sure=0.9),
    "rated; never early (d)": replace(RATED, window=False, sure=None),
    "rated; (a), a review's answer is no vote": replace(RATED, counted=False),
    "rated; (a), nothing is reviewed": replace(RATED, reviews=False),
    "rated; (a), up to five candidates": replace(RATED, most=5),
}


class _Replay:
    """Replays the calls of `auto` for one question under one rule, without threads."""

    def __init__(self, rule: Rule, question: SimQuestion, model: StatisticalModel) -> None:
        self._rule, self._question, self._model = rule, question, model
        self._calls = self._tokens = 0
        self._votes: Counter[str] = Counter()

    def run(self) -> Trial:
        candidates: list[str] = []
        for number in range(1, self._rule.most + 1):
            solutions = [self._solve() for _ in range(self._rule.first if number == 1 and self._rule.window else PLANS)]
            if len(set(solutions)) > 1:
                solutions += [self._solve() for _ in range(PLANS - len(solutions))]
            self._votes.update(solutions)
            agreed = len(set(solutions)) == 1
            candidates.append(self._candidate(solutions, agreed))
            if self._is_done(agreed, number):
                break
        right = self._choose(candidates) == self._question.answer
        return Trial(self._question.level, right, self._calls, self._tokens)

    def _call(self, kind: CallKind, *quoted: str) -> str:
        reply = self._model.reply(ModelCall(kind, self._question, quoted), MODEL)
        self._calls += 1
        self._tokens += count(reply)
        return reply

    def _answer(self, kind: CallKind, *quoted: str) -> str:
        return read_answer(self._call(kind, *quoted), self._question.id) or ""

    def _solve(self) -> str:
        self._call(CallKind.PLAN)
        return self._answer(CallKind.EXECUTE)

    def _candidate(self, solutions: Sequence[str], agreed: bool) -> str:
        if agreed:
            answer = solutions[0]
        elif self._rule.reviews:
            answer = self._answer(CallKind.REVIEW, *solutions)
            self._votes[answer] += self._rule.counted
        else:
            answer = max(solutions, key=self._votes.__getitem__)
        return self._answer(CallKind.FINAL, answer)

    def _is_done(self, agreed: bool, number: int) -> bool:
        rule, counts = self._rule, list(self._votes.values())
        if rule.window and agreed:
            return True
        left = (rule.most - number) * (PLANS + (rule.reviews and rule.counted))
        return rule.sure is not None and (confidence(counts) >= rule.sure or decided(counts, left))

    def _choose(self, candidates: Sequence[str]) -> str:
        votes = Counter(candidates) + self._votes  # this order decides ties
        if self._rule.judged and len(set(candidates)) > 1:
            ratings = [read_rating(self._call(CallKind.RATING, answer)) or 0.0 for answer in candidates]
            return candidates[max(range(len(candidates)), key=lambda at: (ratings[at], votes[candidates[at]]))]
        leading = max(votes, key=votes.__getitem__)
        return leading if leading in candidates else candidates[0]


def run(pictures: Path, quick: bool) -> Section:
    """Replay every rule in three scenarios, and run the loop itself in the first."""
    n = 60 if quick else QUESTIONS
    scenarios = (Scenario(n), Scenario(n, rater_wrong=POOR), Scenario(n, rho=UNALIKE))
    with workers(quick) as pool:
        loop = submit(pool, Ours("auto"), scenarios[0])
        results = {name: [submit(pool, rule, scenario) for scenario in scenarios] for name, rule in RULES.items()}
        trials = {"`auto` itself": [loop()], **{name: [part() for part in parts] for name, parts in results.items()}}
    return Section(
        "Rules for stopping and choosing in `auto`, simulated",
        f"{_explanation(n)}\n\n{_table(trials)}\n\n{CONCLUSIONS}",
    )


def _explanation(n: int) -> str:
    return f"""After each candidate (two executed plans; a third and a review if they disagree) `auto` decides whether
to continue, and at the end which candidate gives the answer. This table compares rules for both decisions, replayed
call by call on {n:,} questions of the same mix with the same draws; the bold row is the rule of `auto`. The first row
is the loop itself: it differs from its replay if a reply was cut at a lowered token limit and drawn again. The limits
of such a simulation are described above.

- (a), (b): stop after a candidate whose plans agree, and after the first two plans of the first candidate if they do.
  This is early-stopping self-consistency (Li et al. 2024, arXiv 2401.10480) with these as windows.
- (c): stop when the leading answer stays ahead of the next one with this probability. This is the Beta criterion of
  Adaptive-Consistency (Aggarwal et al. 2023, arXiv 2305.11860) over all votes: the answers of plans and reviews.
- (d): always three candidates.
- Rated: disagreeing candidates are rated at the end, with one call each; the best rating wins, votes decide ties.

Replayed on real samples (29,763 pairs of a question and a model, not in this repository; the sets are named above),
two agreeing samples instead of three save one sample, which is two calls. They cost at most 0.13 points where the model
is right at least 70 % of the time, and 0.4 points where it is right 40 to 70 %. Votes beyond three gain 0 to 0.3
points.

"Fewest calls" is for a question whose plans agree at once; the target is 5. "Poor judge" is `rater_wrong` =
{POOR}. Differences are paired, with their 95 % interval."""


def _table(trials: Mapping[str, Sequence[Sequence[Trial]]]) -> str:
    base = next(trials[name][0] for name, rule in RULES.items() if rule == AUTO)
    rows = []
    for name, (found, *others) in trials.items():
        right, tokens = accuracy(found), tokens_spent(found).mean
        rows.append(
            [
                f"**{name}**" if found is base else name,
                f"{right.mean:.1f} ± {right.half:.1f}",
                "" if found is base else points(difference(found, base)),
                f"{fmean(trial.calls for trial in found):.1f}",
                min(trial.calls for trial in found),
                f"{tokens:,.0f}",
                f"{tokens / tokens_spent(base).mean:.2f} ×",
                *([f"{accuracy(of).mean:.1f}" for of in others] or ["", ""]),
            ]
        )
    head = ["", "right, %", "difference, points", "calls", "fewest calls", "tokens", "relative tokens", "poor judge, %"]
    return table([*head, f"ρ = {UNALIKE:g}, %"], rows)


# The replays use no threads, so these figures are the same in each run of the same simulator and rules.
CONCLUSIONS = """Conclusions:

- **Two plans that agree are enough.** A third one of the first candidate uses 1.4 × the tokens and gains half a point;
  with independent samples it gains 1.7 points. `auto_window=3` makes it.
- **Stopping: agreeing plans, then Beta at 0.95.** With correlated samples the second rule hardly matters: agreeing
  plans alone (b) use 1 % more tokens. Beta at 0.95 alone does not stop after three equal votes (its probability is
  0.9375), and makes 14 calls instead of 5. Never stopping early uses 3.3 × the tokens and gains 1.9 points.
- **Choosing: ratings for disagreeing candidates.** They gain 1.1 points for 1 % more tokens, 2.3 points with
  independent samples, and 0.3 with the poor judge.
- **Reviews.** Without them the accuracy falls by 0.8 points, by 2 with independent samples; 2 % of the tokens are
  saved.
- **A review's answer counts as a vote.** This saves 1 % of the tokens; the accuracy differs by 0.2 points at most.
- Five candidates instead of three gain nothing, with independent samples 0.6 points. `bestofn_n` sets the number."""
