"""Degrading, in order: attempt, candidate, rating, answer. One test for each thing that is promised.

Over a script, so that each failure stands alone; the last two over real HTTP. `tests/faults` has every fault of the
wire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import KEY
from support.desk import Desk, run
from support.error_kinds import error_kinds
from support.once import once
from support.quiet import quiet
from support.scripted import completion
from support.solving import solve

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.chat import ChatRequest, Question, Step
from optillm_cerebras_cepo.core.errors import ErrorScope
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator import CLIENT_GONE
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

BUSY = errors.ApiUnavailable("busy")
FLAWS = [BUSY, completion("cut", "length"), completion(""), completion("f", "content_filter")]
WIDE = [kind for kind in error_kinds() if kind.scope is not ErrorScope.CALL and not kind.discards_answers]


def says(request: ChatRequest) -> str:
    """What a sound model says: its step and candidate."""
    return f"{request.label}. Rating: [[1]]"


def failing(flaw: Any, *steps: Step, candidates: tuple[int, ...] = (1, 2, 3)) -> Callable[[ChatRequest], Any]:
    """A model that fails in these steps of these candidates."""
    return lambda r: flaw if r.label.step in steps and r.label.candidate in candidates else says(r)


@pytest.mark.parametrize("step", [Step.PLAN, Step.EXECUTE])
def test_a_failed_attempt_is_a_rejected_attempt(step: Step) -> None:
    """Another takes its place, and the request answers in full."""
    failed = list[ChatRequest]()

    def answer(request: ChatRequest) -> Any:
        if request.label.step is step and not failed:
            failed.append(request)
            return BUSY
        return says(request)

    it = Desk(answer)
    outcome = run(it)
    assert len(outcome.candidates) == 3
    assert [len(candidate.solutions) for candidate in outcome.candidates] == [3, 3, 3]
    assert it.caller.tracker.degraded.lines == (f"{failed[0].label} left out: busy",)


def test_a_failed_candidate_is_dropped_while_another_lives() -> None:
    """Its plans and its direct answer have all failed."""
    it = Desk(failing(BUSY, *Step, candidates=(1, 3)))
    assert [candidate.number for candidate in run(it).candidates] == [2]
    assert {f"candidate {number} left out: busy" for number in (1, 3)} <= set(it.caller.tracker.degraded.lines)


@pytest.mark.parametrize(("said", "chosen"), [((6, 7, 7), 2), ((5, 6, 7), 1)])
def test_failed_ratings_leave_it_to_the_majority_then_to_the_first(said: tuple[int, ...], chosen: int) -> None:
    """Each of the three ratings has failed, and each stands in `degraded`."""

    def answer(request: ChatRequest) -> Any:
        if request.label.step is Step.RATING:
            return BUSY
        return f"The answer is {said[request.label.candidate - 1]}."

    it = Desk(answer)
    outcome = run(it)
    assert (outcome.chosen, outcome.ratings) == (chosen, (None, None, None))
    assert sorted(it.caller.tracker.degraded.lines) == [
        f"rating of candidate {number} left out: busy" for number in (1, 2, 3)
    ]


def test_one_failed_rating_leaves_the_others() -> None:
    """The candidate that has none is not chosen while one that has is there."""
    it = Desk(failing(BUSY, Step.RATING, candidates=(1,)))
    outcome = run(it)
    assert (outcome.chosen, outcome.ratings) == (2, (None, 1.0, 1.0))


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_failed_final_step_gives_the_reviewed_solution(flaw: Any) -> None:
    """And a failed review before it the first solution."""
    it = Desk(failing(flaw, Step.FINAL), bestofn_n=1)
    assert run(it).answer == "candidate 1 review. Rating: [[1]]"
    it = Desk(failing(flaw, Step.REVIEW, Step.FINAL), bestofn_n=1)
    assert run(it).answer == "candidate 1 execute. Rating: [[1]]"
    assert [line.split(" left")[0] for line in it.caller.tracker.degraded.lines] == [
        "candidate 1 review",
        "candidate 1 final",
    ]


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("step", [Step.PLAN, Step.EXECUTE])
def test_a_failed_plan_stage_gives_the_direct_answer(flaw: Any, step: Step) -> None:
    """Which is reviewed like any other; where that fails too, it is the answer."""
    it = Desk(failing(flaw, step, Step.REVIEW, Step.FINAL), bestofn_n=1)
    assert run(it).answer == "candidate 1 direct. Rating: [[1]]"
    assert it.caller.tracker.degraded.lines[0].startswith(f"candidate 1 {step.value} left out: ")


def test_what_was_lost_stands_in_degraded_with_the_reason() -> None:
    """Each thing once, in the order in which it came up, and nothing when nothing was lost."""
    it = Desk(failing(BUSY, Step.REVIEW, Step.RATING), bestofn_n=2)
    run(it)
    assert sorted(it.caller.tracker.degraded.lines) == [
        "candidate 1 review left out: busy",
        "candidate 2 review left out: busy",
        "rating of candidate 1 left out: busy",
        "rating of candidate 2 left out: busy",
    ]
    whole = Desk(says)
    run(whole)
    assert whole.caller.tracker.degraded.lines == ()


@pytest.mark.parametrize("kind", WIDE)
@pytest.mark.parametrize("step", [Step.PLAN, Step.REVIEW, Step.FINAL])
def test_when_no_further_call_can_succeed_none_is_begun(kind: type[errors.CepoError], step: Step) -> None:
    """What the candidate has by then is its answer, if it has anything."""
    it = Desk(failing(kind("no further call"), step), bestofn_n=1)
    if step is Step.PLAN:
        with pytest.raises(kind, match="no further call"):
            run(it)
    else:
        assert run(it).answer.startswith("candidate 1 execute" if step is Step.REVIEW else "candidate 1 review")
        assert f"candidate 1 {step.value} left out: no further call" in it.caller.tracker.degraded.lines
    asked = [request.label.step for request in it.client.requests]
    assert asked.count(step) <= it.caller.request.settings.planning_n
    assert not set(asked) & set(list(Step)[list(Step).index(step) + 1 :])


def test_no_further_call_is_made_after_an_error_of_key_account_model_or_day() -> None:
    """Nor where there is no API, or one that cannot be trusted; no other status of the API's does that."""
    assert set(WIDE) == {
        errors.CertificateError,
        errors.WrongBaseUrl,
        errors.WrongKey,
        errors.PaymentRequired,
        errors.Forbidden,
        errors.ModelUnavailable,
        errors.QuotaExhausted,
        errors.DeadlineExceeded,
    }


REFUSALS = {
    401: ({"message": "Wrong API Key", "code": "wrong_api_key"}, errors.WrongKey),
    402: ({"message": "no credit"}, errors.PaymentRequired),
    403: ({"message": "no"}, errors.Forbidden),
    404: ({"message": "no such model", "param": "model", "code": "model_not_found"}, errors.ModelUnavailable),
}


@pytest.mark.parametrize("status", REFUSALS)
def test_after_such_an_error_no_further_call_is_made(simulate: Callable[..., Simulator], status: int) -> None:
    """Over real HTTP: the nine plans are under way when one is refused; no call follows them."""
    body, kind = REFUSALS[status]
    api = simulate(rules=(Rule(reply=Reply(status, body), times=1, held=True), Rule(fault="hang")))
    once(lambda: api.in_flight == 9, api.release)
    with pytest.raises(kind) as caught:
        solve(RUNTIME, Question("What is 6 times 7?"), Settings(rpm=6000), RUNTIME.client(api.url, KEY))
    assert sorted(status or 0 for status in quiet(api)) == [status] + [CLIENT_GONE] * 8
    assert caught.value.spent == {"calls": 9, "prompt_tokens": 0, "completion_tokens": 0, "cost": 0}


def test_whatever_fails_but_a_direct_answer_there_is_one(simulate: Callable[..., Simulator]) -> None:
    """Over real HTTP: all of OptiLLM's planning calls are refused, and each candidate answers directly."""
    planning = r"^(?!What is 6 times 7\?$)"  # OptiLLM's own words stand around the question
    api = simulate(rules=(Rule(planning, reply=Reply(503, {"message": "down"})), Rule(text="It is 42.")))
    question = Question("What is 6 times 7?")
    solved = solve(RUNTIME, question, Settings(call_attempts=1), RUNTIME.client(api.url, KEY))
    assert solved.outcome.answer == "It is 42."
    assert len(solved.outcome.candidates) == 3
    assert solved.ledger.total.calls == len(api.chat_calls) == 3 * (6 + 1 + 2)
