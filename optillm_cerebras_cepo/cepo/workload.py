"""How much work a request can do with its calls, tokens and time, and what that is expected to cost.

If they are not enough, work is left out in this order: further candidates, their ratings, approaches, the review,
plans. The minimum is a direct answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from optillm_cerebras_cepo.cepo.judge import JUDGES
from optillm_cerebras_cepo.cepo.request import LAST_RESORT
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.core.budget import Reservation, Resources
from optillm_cerebras_cepo.core.chat import Label, Step
from optillm_cerebras_cepo.settings.declaration import Settings

# Bytes of OptiLLM's own text in a prompt, at most. `tests/cepo/test_expected_costs.py` compares them with OptiLLM.
PROMPT_BYTES = {
    Step.APPROACHES: 550,
    Step.PLAN: 400,
    Step.EXECUTE: 550,  # with those of the plan's prompt, which it repeats
    Step.REVIEW: 300,
    Step.FINAL: 200,
    Step.RATING: 1500,
}
HEADING_BYTES = 16  # of the heading over each solution in a review's prompt
REPEATS_QUESTION = (Step.PLAN, Step.EXECUTE)


@dataclass(frozen=True)
class Workload:
    """What a request does."""

    candidates: int  # number of candidates, or of answers without a plan
    ratings: bool  # whether candidates are rated
    approaches: bool  # whether each candidate plans along an approach of its own
    review: bool  # whether solutions are reviewed
    plans: int  # number of plans of each candidate; 0 for a direct answer


@dataclass(frozen=True)
class StepCosts:
    """Expected tokens and seconds of calls."""

    prompt: Callable[[Step], float]  # returns the tokens of a step's prompt, without the earlier replies that it quotes
    reply: Callable[[Step], float]  # returns the tokens of a step's reply
    last_resort: float  # tokens of a candidate's direct answer, which it gives if it has no plan
    seconds: float = 0.0  # duration of a call; 0 if it is not known

    def tokens(self, step: Step, quoted: Sequence[Step] = ()) -> float:
        """Return the tokens of one call, prompt and reply; the prompt quotes a reply of each of these earlier steps."""
        return self.prompt(step) + sum(map(self.reply, (*quoted, step)))

    def answer(self, settings: Settings, work: Workload) -> float:
        """Return the tokens of a candidate's last step or of its direct answer, whichever are more."""
        last = _steps_after_plans(settings, work)[-1:]
        written = sum(self.tokens(step, quoted(settings, work, step)) for step in last)
        return max(written, self.prompt(Step.DIRECT) + self.last_resort)


@dataclass(frozen=True)
class FittedWorkload:
    """A workload, and a line for each thing that was left out of the requested one."""

    work: Workload
    degraded: tuple[str, ...]


def requested_workload(settings: Settings, candidates: int) -> Workload:
    """Return the work that the settings ask for, with so many candidates."""
    return Workload(
        candidates, _ratings(settings, candidates) > 0, settings.use_plan_diversity, True, settings.planning_n
    )


def fit_to_resources(
    settings: Settings, requested: Workload, answers: int, resources: Resources, costs: StepCosts
) -> FittedWorkload:
    """Return the largest workload that fits the resources; a direct answer if none fits.

    More resources never give a smaller workload.

    Args:
        settings: of the request.
        requested: the work that the settings ask for.
        answers: number of answers that the client wants; there are at least as many candidates.
        resources: remaining calls, tokens and seconds.
        costs: expected costs of calls.

    """
    work, reasons = requested, dict[str, str]()
    for left_out, smaller in _smaller(requested, answers):
        reason = shortfall(settings, estimate_cost(settings, work, costs), resources)
        if not reason:
            break
        work, reasons[left_out] = smaller, reason
    return FittedWorkload(work, tuple(_lines(requested, work, reasons)))


def estimate_cost(settings: Settings, work: Workload, costs: StepCosts) -> Resources:
    """Return the cost of this work if nothing fails; the seconds are those of the longest chain of calls.

    Each candidate has a call for its answer: its last step, or a direct answer if that step is switched off.
    """
    if not work.plans:
        return Resources(work.candidates, work.candidates * costs.tokens(Step.DIRECT), costs.seconds)
    attempt = [Step.PLAN, Step.EXECUTE] if settings.planning_max_tokens_step1 else [Step.EXECUTE]
    rest = _steps_after_plans(settings, work)
    before = [Step.APPROACHES] if work.approaches else []
    ratings = [Step.RATING] * (work.ratings * _ratings(settings, work.candidates))
    calls = [*before, *[*attempt * work.plans, *rest[:-1]] * work.candidates, *ratings]  # without the answers'
    tokens = sum(costs.tokens(step, quoted(settings, work, step)) for step in calls)
    tokens += work.candidates * costs.answer(settings, work)
    if work.approaches:  # each plan and its execution quote one of the proposed approaches
        share = costs.reply(Step.APPROACHES) / max(settings.bestofn_n, work.candidates)
        tokens += share * len(attempt) * work.plans * work.candidates
    depth = len([*before, *attempt, *rest]) + bool(ratings)
    return Resources(len(calls) + work.candidates, tokens, depth * costs.seconds)


def cost_of_another_candidate(settings: Settings, work: Workload, costs: StepCosts, number: int) -> Resources:
    """Return the cost of the candidate with this number, including the ratings that it adds."""
    before = replace(work, candidates=number - 1, ratings=False)
    after = replace(before, candidates=number, ratings=requested_workload(settings, number).ratings)
    less, more = estimate_cost(settings, before, costs), estimate_cost(settings, after, costs)
    proposed = costs.seconds if work.approaches else 0.0
    return Resources(more.calls - less.calls, more.tokens - less.tokens, more.seconds - proposed)


def shortfall(settings: Settings, cost: Resources, resources: Resources) -> str:
    """Return a message for the client that names the resource that is too small; empty if none is."""
    if cost.calls > resources.calls:
        return f"max_calls {settings.max_calls} allows no more"
    if cost.tokens > resources.tokens:
        limits = {"max_total_tokens": settings.max_total_tokens, "max_cost": settings.max_cost}
        named = " or ".join(f"{name} {value:.12g}" for name, value in limits.items() if value is not None)
        return f"{named} allows no more"
    if cost.calls > resources.rate_limit_calls:
        return f"the API's rate limits allow no more calls in the remaining {resources.seconds:.3g} s"
    if cost.seconds > resources.seconds:
        return f"the remaining {resources.seconds:.3g} s allow no more"
    return ""


def quoted(settings: Settings, work: Workload, step: Step) -> tuple[Step, ...]:
    """Return the steps whose replies a prompt of this step quotes, one for each reply."""
    solution = Step.REVIEW if work.review else Step.EXECUTE
    answer = Step.FINAL if settings.planning_max_tokens_step4 else solution
    planned = bool(settings.planning_max_tokens_step1)
    return {
        Step.EXECUTE: (Step.PLAN,) * planned,
        Step.REVIEW: (Step.EXECUTE,) * work.plans,
        Step.FINAL: (solution,),
        Step.RATING: (answer,) * JUDGES[settings.bestofn_rating_type].answers_per_call,
    }.get(step, ())


def _steps_after_plans(settings: Settings, work: Workload) -> list[Step]:
    """Return the steps from a candidate's solutions to its answer; none if the first solution is the answer."""
    return [Step.REVIEW] * work.review + [Step.FINAL] * bool(settings.planning_max_tokens_step4)


def _ratings(settings: Settings, candidates: int) -> int:
    return JUDGES[settings.bestofn_rating_type].calls(candidates) if candidates > 1 else 0


def _smaller(work: Workload, answers: int) -> Iterator[tuple[str, Workload]]:
    """Yield what is left out next, and the workload without it."""
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


def _lines(requested: Workload, work: Workload, reasons: dict[str, str]) -> Iterator[str]:
    for name, reason in reasons.items():
        match name:
            case "candidates":
                yield f"{work.candidates} of {requested.candidates} candidates: {reason}"
            case "plans" if not work.plans:
                yield f"no plan, a direct answer: {reason}"
            case "plans":
                yield f"{work.plans} of {requested.plans} plans: {reason}"
            case "ratings" if work.candidates == 1:  # a single candidate is not rated
                continue
            case _:
                yield f"no {name}: {reason}"


def expected_costs(caller: StepCaller, rater: StepCaller) -> StepCosts:
    """Return the expected tokens and seconds of this request's calls, from what is known now.

    Args:
        caller: calls the model that plans and answers.
        rater: calls the model that rates.

    """
    approaches = max(caller.request.settings.bestofn_n, caller.request.parameters.n)

    def prompt(step: Step) -> float:
        return expected_prompt_tokens(rater if step is Step.RATING else caller, step)

    def reply(step: Step) -> float:
        label = Label(step, kind=str(approaches) if step is Step.APPROACHES else "")
        return (rater if step is Step.RATING else caller).expected_reply_tokens(label)

    last_resort = caller.expected_reply_tokens(Label(Step.DIRECT, kind=LAST_RESORT))
    return StepCosts(prompt, reply, last_resort, caller.tracker.call_times.usual or 0.0)


def expected_prompt_tokens(caller: StepCaller, step: Step) -> int:
    """Return the estimated tokens of a step's prompt: the conversation, the question, and OptiLLM's own text."""
    question, settings = caller.request.question, caller.request.settings
    text = PROMPT_BYTES.get(step, 0) + (HEADING_BYTES * settings.planning_n if step is Step.REVIEW else 0)
    conversation = [question.system, *(turn.content for turn in question.history)]
    repeated = [question.text] * (2 if step in REPEATS_QUESTION else 1)
    return caller.model.count_tokens([*conversation, *repeated, " " * text])


def reserve_answer(caller: StepCaller, work: Workload) -> AbstractContextManager[Reservation]:
    """Reserve one call and its tokens for the answer of one candidate."""
    tokens = expected_costs(caller, caller).answer(caller.request.settings, work)
    return caller.budget.whole.reserve(1, tokens)
