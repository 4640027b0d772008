"""How much work a request's means bear: what it asks for, less what is needed least. Pure.

Given up are, in this order: further candidates, their ratings, approaches of their own, the review, plans. What is
left at least is a direct answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from optillm_cerebras_cepo.budget import Means
from optillm_cerebras_cepo.chat import Step
from optillm_cerebras_cepo.settings import Settings


@dataclass(frozen=True)
class Costs:
    """What calls are expected to take.

    Attributes:
        prompt: tokens of a step's prompt without what it quotes of earlier replies.
        reply: tokens of a step's reply.
        last_resort: tokens of the reply to a candidate that has no plan.
        seconds: of a call; 0 where that is not known.

    """

    prompt: Callable[[Step], float]
    reply: Callable[[Step], float]
    last_resort: float
    seconds: float = 0.0

    def tokens(self, step: Step, quoted: Sequence[Step] = ()) -> float:
        """Return the tokens of one call, prompt and reply; the prompt quotes a reply of each of these earlier steps."""
        return self.prompt(step) + sum(map(self.reply, (*quoted, step)))

    def answer(self, settings: Settings, work: Workload) -> float:
        """Return the tokens that a candidate needs for its answer: for the last step, or for a last resort instead."""
        last = _after_plans(settings, work)[-1:]
        written = sum(self.tokens(step, quoted(settings, work, step)) for step in last)
        return max(written, self.prompt(Step.DIRECT) + self.last_resort)


@dataclass(frozen=True)
class Workload:
    """What a request does.

    Attributes:
        candidates: as many, or answers without a plan.
        ratings: whether candidates are rated.
        approaches: whether each plans along one of its own.
        review: whether solutions are reviewed.
        plans: of each candidate; none means a direct answer.

    """

    candidates: int
    ratings: bool
    approaches: bool
    review: bool
    plans: int


@dataclass(frozen=True)
class Planned:
    """A workload, and for each thing of which there is less than was asked for, in words, why."""

    work: Workload
    degraded: tuple[str, ...]


def asked_for(settings: Settings, candidates: int) -> Workload:
    """All that the settings ask for, with so many candidates."""
    rated = candidates > 1 and settings.bestofn_rating_type != "majority"
    return Workload(candidates, rated, settings.use_plan_diversity, True, settings.planning_n)


def borne(settings: Settings, full: Workload, answers: int, means: Means, costs: Costs) -> Planned:
    """The most of this work that these means bear, with at least so many answers; a direct one where they bear none.

    More means never bear less.
    """
    work, reasons = full, dict[str, str]()
    for given_up, lesser in _lesser(full, answers):
        shortage = short_of(settings, bill(settings, work, costs), means)
        if not shortage:
            break
        work, reasons[given_up] = lesser, shortage
    return Planned(work, tuple(_told(full, work, reasons)))


def bill(settings: Settings, work: Workload, costs: Costs) -> Means:
    """What this work takes when nothing fails: calls, tokens, and seconds of the calls that wait for each other.

    Each candidate has a call for its answer. Where its last step is switched off, that call is kept for a last resort.
    """
    if not work.plans:
        return Means(work.candidates, work.candidates * costs.tokens(Step.DIRECT), costs.seconds)
    attempt = [Step.PLAN, Step.EXECUTE] if settings.planning_max_tokens_step1 else [Step.EXECUTE]
    rest = _after_plans(settings, work)
    before = [Step.APPROACHES] if work.approaches else []
    ratings = [Step.RATING] * _ratings(settings, work)
    calls = [*before, *[*attempt * work.plans, *rest[:-1]] * work.candidates, *ratings]  # without the answers'
    tokens = sum(costs.tokens(step, quoted(settings, work, step)) for step in calls)
    tokens += work.candidates * costs.answer(settings, work)
    if work.approaches:  # each plan and its execution quote one of the proposed approaches
        share = costs.reply(Step.APPROACHES) / max(settings.bestofn_n, work.candidates)
        tokens += share * len(attempt) * work.plans * work.candidates
    depth = len([*before, *attempt, *rest]) + bool(ratings)
    return Means(len(calls) + work.candidates, tokens, depth * costs.seconds)


def quoted(settings: Settings, work: Workload, step: Step) -> tuple[Step, ...]:
    """Return the steps whose replies a prompt of this step quotes, one for each reply."""
    solution = Step.REVIEW if work.review else Step.EXECUTE
    answer = Step.FINAL if settings.planning_max_tokens_step4 else solution
    planned = bool(settings.planning_max_tokens_step1)
    return {
        Step.EXECUTE: (Step.PLAN,) * planned,
        Step.REVIEW: (Step.EXECUTE,) * work.plans,
        Step.FINAL: (solution,),
        Step.RATING: (answer,) * (2 if settings.bestofn_rating_type == "pairwise" else 1),
    }.get(step, ())


def bill_of_another(settings: Settings, work: Workload, costs: Costs, number: int) -> Means:
    """What one more such candidate takes, the so many-th, with the ratings that it makes necessary."""
    before = replace(work, candidates=number - 1, ratings=False)
    after = replace(before, candidates=number, ratings=settings.bestofn_rating_type != "majority")
    less, more = bill(settings, before, costs), bill(settings, after, costs)
    proposed = costs.seconds if work.approaches else 0.0
    return Means(more.calls - less.calls, more.tokens - less.tokens, more.seconds - proposed)


def short_of(settings: Settings, wanted: Means, means: Means) -> str:
    """What these means lack for what is wanted, in words; empty where they suffice."""
    if wanted.calls > means.calls:
        return f"max_calls {settings.max_calls} allows no more"
    if wanted.tokens > means.tokens:
        return f"max_total_tokens {settings.max_total_tokens} allows no more"
    if wanted.calls > means.paced:
        return f"the API's limits let no more calls through in the {means.seconds:.3g} s that are left"
    if wanted.seconds > means.seconds:
        return f"the {means.seconds:.3g} s that are left allow no more"
    return ""


def _after_plans(settings: Settings, work: Workload) -> list[Step]:
    """Return the steps that make an answer of a candidate's solutions; none where the first solution is the answer."""
    return [Step.REVIEW] * work.review + [Step.FINAL] * bool(settings.planning_max_tokens_step4)


def _ratings(settings: Settings, work: Workload) -> int:
    """Calls of the judge."""
    if not work.ratings or work.candidates < 2:
        return 0
    pairs = settings.bestofn_rating_type == "pairwise"
    return work.candidates * (work.candidates - 1 if pairs else 1)


def _lesser(work: Workload, answers: int) -> Iterator[tuple[str, Workload]]:
    """Ever less work, the least needed given up first: what is given up, and what is left."""
    while work.candidates > max(1, answers):
        work = replace(work, candidates=work.candidates - 1)
        yield "candidates", work
    for name in ("ratings", "approaches", "review"):
        if getattr(work, name):
            work = replace(work, **{name: False})
            yield name, work
    while work.plans:
        work = replace(work, plans=work.plans - 1)
        yield "plans", work


def _told(full: Workload, work: Workload, reasons: dict[str, str]) -> Iterator[str]:
    for name, reason in reasons.items():
        match name:
            case "candidates":
                yield f"{work.candidates} of {full.candidates} candidates: {reason}"
            case "plans" if not work.plans:
                yield f"no plan, a direct answer: {reason}"
            case "plans":
                yield f"{work.plans} of {full.plans} plans: {reason}"
            case "ratings" if work.candidates == 1:  # one is not rated
                continue
            case _:
                yield f"no {name}: {reason}"
