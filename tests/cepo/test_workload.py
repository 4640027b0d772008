"""How much work means bear: what is given up, in which order, and that more never buys less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.cepo.workload import (
    FittedWorkload,
    StepCosts,
    Workload,
    cost_of_another_candidate,
    estimate_cost,
    fit_to_resources,
    quoted,
    requested_workload,
)
from optillm_cerebras_cepo.core.budget import Resources
from optillm_cerebras_cepo.core.chat import Step
from optillm_cerebras_cepo.settings.declaration import Settings

COSTS = StepCosts(prompt=lambda _: 300, reply=lambda _: 400, last_resort=400, seconds=2.0)


def planned(means: Resources, answers: int = 1, **settings: Any) -> FittedWorkload:
    """What these means bear of these settings' work."""
    own = Settings(**settings)
    return fit_to_resources(own, requested_workload(own, max(own.bestofn_n, answers)), answers, means, COSTS)


@pytest.mark.parametrize(
    ("calls", "work", "degraded"),
    [
        (27, Workload(3, True, False, True, 3), ()),
        (26, Workload(2, True, False, True, 3), ("2 of 3 candidates",)),
        (18, Workload(2, True, False, True, 3), ("2 of 3 candidates",)),
        (17, Workload(1, True, False, True, 3), ("1 of 3 candidates",)),
        (8, Workload(1, True, False, True, 3), ("1 of 3 candidates",)),
        (7, Workload(1, False, False, False, 3), ("1 of 3 candidates", "no review")),
        (6, Workload(1, False, False, False, 2), ("1 of 3 candidates", "no review", "2 of 3 plans")),
        (3, Workload(1, False, False, False, 1), ("1 of 3 candidates", "no review", "1 of 3 plans")),
        (2, Workload(1, False, False, False, 0), ("1 of 3 candidates", "no review", "no plan, a direct answer")),
        (1, Workload(1, False, False, False, 0), ("1 of 3 candidates", "no review", "no plan, a direct answer")),
    ],
)
def test_the_least_needed_is_given_up_first(calls: int, work: Workload, degraded: tuple[str, ...]) -> None:
    """Of a default request of 27 calls: further candidates, the review, plans; down to one direct answer."""
    done = planned(Resources(calls=calls), max_calls=calls)
    assert done.work == work
    assert done.degraded == tuple(f"{one}: max_calls {calls} allows no more" for one in degraded)


def test_ratings_go_before_reviews() -> None:
    """Where several answers are wanted, so that several candidates have to stay."""
    done = planned(Resources(calls=17), answers=2, max_calls=17)
    assert done.work == Workload(2, False, False, True, 3)
    assert done.degraded[1] == "no ratings: max_calls 17 allows no more"


@pytest.mark.parametrize(
    ("settings", "calls"),
    [
        ({}, 27),
        ({"bestofn_rating_type": "pairwise"}, 30),
        ({"bestofn_rating_type": "majority"}, 24),
        ({"use_plan_diversity": True}, 28),
        ({"bestofn_n": 1}, 8),
        ({"planning_max_tokens_step1": 0}, 18),
        ({"planning_max_tokens_step4": 0}, 24),
    ],
)
def test_the_bill_is_what_a_request_makes(settings: dict[str, Any], calls: int) -> None:
    """`test_best_of_n.py` counts the calls of the default one."""
    own = Settings(**settings)
    assert estimate_cost(own, requested_workload(own, own.bestofn_n), COSTS).calls == calls


def test_tokens_grow_with_what_a_step_quotes() -> None:
    """A review quotes all solutions; a candidate's tokens are the sum of its calls."""
    assert COSTS.tokens(Step.PLAN) == 300 + 400
    assert COSTS.tokens(Step.REVIEW, (Step.EXECUTE,) * 3) == COSTS.tokens(Step.PLAN) + 3 * 400
    one = estimate_cost(Settings(), Workload(1, False, False, True, 3), COSTS)
    assert one.tokens == 3 * 700 + 3 * 1100 + 1900 + 1100
    assert planned(Resources(tokens=one.tokens), max_total_tokens=1).work == Workload(1, True, False, True, 3)
    assert planned(Resources(tokens=one.tokens - 1)).work.review is False


@pytest.mark.parametrize(
    ("settings", "review", "step", "steps"),
    [
        ({}, True, Step.PLAN, ()),
        ({}, True, Step.EXECUTE, (Step.PLAN,)),
        ({"planning_max_tokens_step1": 0}, True, Step.EXECUTE, ()),
        ({}, True, Step.REVIEW, (Step.EXECUTE,) * 3),
        ({}, True, Step.FINAL, (Step.REVIEW,)),
        ({}, False, Step.FINAL, (Step.EXECUTE,)),
        ({}, True, Step.RATING, (Step.FINAL,)),
        ({"bestofn_rating_type": "pairwise"}, True, Step.RATING, (Step.FINAL, Step.FINAL)),
        ({"planning_max_tokens_step4": 0}, True, Step.RATING, (Step.REVIEW,)),
        ({"planning_max_tokens_step4": 0}, False, Step.RATING, (Step.EXECUTE,)),
    ],
)
def test_a_prompt_quotes_the_replies_that_it_is_about(
    settings: dict[str, Any], review: bool, step: Step, steps: tuple[Step, ...]
) -> None:
    """A comparison quotes two answers; an answer is the reply of the last step that is not switched off."""
    own = Settings(**settings)
    assert quoted(own, replace(requested_workload(own, 2), review=review), step) == steps


def test_plans_and_their_execution_quote_an_approach_each() -> None:
    """An equal share of the reply that proposed them."""
    free, along = Settings(), Settings(use_plan_diversity=True)
    less, more = (estimate_cost(own, requested_workload(own, 3), COSTS) for own in (free, along))
    assert more.tokens - less.tokens == pytest.approx(COSTS.tokens(Step.APPROACHES) + 3 * 3 * 2 * 400 / 3)


def test_time_is_that_of_the_calls_that_wait_for_each_other() -> None:
    """Plan, execution, review, final answer and rating at two seconds each; candidates go side by side."""
    assert planned(Resources(seconds=10)).degraded == ()
    less = planned(Resources(seconds=9))
    assert less.work == Workload(1, True, False, True, 3)
    assert less.degraded == ("1 of 3 candidates: the remaining 9 s allow no more",)
    assert planned(Resources(seconds=3)).work.plans == 0


def test_what_limits_let_through_in_time_is_all_there_is() -> None:
    """Five calls a minute are 20 in four minutes: two candidates, where a budget would say so too."""
    done = planned(Resources(seconds=240, rate_limit_calls=20))
    assert done.work == Workload(2, True, False, True, 3)
    assert done.degraded == ("2 of 3 candidates: the API's rate limits allow no more calls in the remaining 240 s",)


def test_another_candidate_brings_its_ratings() -> None:
    """Its own, and that of the first where it makes ratings necessary."""
    work = requested_workload(Settings(), 1)
    assert cost_of_another_candidate(Settings(), work, COSTS, 2).calls == 10
    assert cost_of_another_candidate(Settings(), work, COSTS, 3).calls == 11
    assert cost_of_another_candidate(Settings(bestofn_rating_type="majority"), work, COSTS, 3).calls == 8


def test_another_candidate_does_not_propose_approaches_again() -> None:
    """It takes one of those that there are, in its plans and their execution."""
    own = Settings(use_plan_diversity=True)
    free, along = (
        cost_of_another_candidate(own, replace(requested_workload(own, 1), approaches=it), COSTS, 3)
        for it in (False, True)
    )
    assert (along.calls, along.seconds) == (free.calls, free.seconds) == (11, 10.0)
    assert along.tokens - free.tokens == pytest.approx(3 * 2 * 400 / 3)


COUNTS = st.integers(1, 5)


@given(
    settings=st.builds(
        Settings,
        bestofn_n=COUNTS,
        planning_n=COUNTS,
        planning_m=st.just(5),
        use_plan_diversity=st.booleans(),
        bestofn_rating_type=st.sampled_from(["absolute", "pairwise", "majority"]),
    ),
    answers=st.integers(1, 3),
    means=st.builds(Resources, st.integers(1, 120), st.integers(1, 200_000), st.floats(0.1, 60)),
    more=st.builds(Resources, st.integers(0, 60), st.integers(0, 100_000), st.floats(0, 30)),
)
def test_more_never_bears_less_and_what_is_borne_is_paid_for(
    settings: Settings, answers: int, means: Resources, more: Resources
) -> None:
    """For any configuration; a direct answer is tried with whatever there is."""
    full = requested_workload(settings, max(settings.bestofn_n, answers))
    less = fit_to_resources(settings, full, answers, means, COSTS).work
    richer = Resources(means.calls + more.calls, means.tokens + more.tokens, means.seconds + more.seconds)
    work = fit_to_resources(settings, full, answers, richer, COSTS).work
    assert (work.candidates, work.plans, work.review) >= (less.candidates, less.plans, less.review)
    assert work.plans >= less.plans
    assert less.candidates >= answers
    if less.plans:
        cost = estimate_cost(settings, less, COSTS)
        assert cost.calls <= means.calls
        assert cost.tokens <= means.tokens
        assert cost.seconds <= means.seconds
