"""A request's time: whatever is there when it runs short is answered with, and what was left out is said."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.desk import Desk, changed, run
from support.scripted import completion
from support.waiting import PATIENCE

from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.cepo.outcome import survivors
from optillm_cerebras_cepo.cepo.request import (
    CallTimes,
    kept_for_answer,
    kept_for_choosing,
)
from optillm_cerebras_cepo.core.chat import ChatRequest, Step
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import ApiTimeout, CepoError, DeadlineExceeded, OutOfTime

SEVEN = "The answer is 7. Rating: [[1]]"


class Clock:
    """Seconds that pass with calls: those that run at once pass together."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def pass_until(self, then: float) -> None:
        """Let it be at least that late."""
        with self._lock:
            self.now = max(self.now, then)


def timed(seconds: Any, deadline: float, says: Any = (SEVEN,), **options: Any) -> tuple[Desk, Clock]:
    """A request with a deadline whose calls take `seconds(request)` of a clock's, and at most what they may."""
    clock, texts = Clock(), cycle(says)

    def answer(request: ChatRequest) -> Any:
        began = clock.now  # read before the time that is left, or the sum could be beyond the deadline
        took, left = seconds(request), request.deadline.remaining
        clock.pass_until(began + min(took, left))
        return ApiTimeout("too slow") if took > left else next(texts)

    it = Desk(answer, **options)
    it.caller = replace(it.caller, deadline=Deadline(deadline, clock))
    return it, clock


@settings(max_examples=60, deadline=None)
@given(
    share=st.floats(0.001, 0.05),
    deadline=st.floats(1, 1000),
    effort=st.sampled_from(["low", "medium", "high", "auto", "none"]),
)
def test_calls_that_are_quick_for_the_deadline_always_answer(share: float, deadline: float, effort: Any) -> None:
    """A twentieth of the time each, however many of them there would be."""
    it, clock = timed(lambda _: share * deadline, deadline, effort=effort)
    assert run(it).answer
    assert clock.now <= deadline


@settings(max_examples=60, deadline=None)
@given(
    quick=st.floats(0.01, 3),
    slow=st.floats(0.01, 3),
    at=st.sampled_from(list(Step)),
    effort=st.sampled_from(["low", "medium", "auto", "none"]),
)
def test_however_long_calls_take_there_is_an_answer_or_a_504(quick: float, slow: float, at: Step, effort: Any) -> None:
    """In a deadline of ten seconds, of which no call and no answer takes more."""
    it, clock = timed(lambda request: slow if request.label.step is at else quick, 10, effort=effort)
    try:
        assert "7" in run(it).answer
    except DeadlineExceeded:
        assert clock.now >= 10 - 2 * kept_for_choosing(10)
    assert clock.now <= 10.001


@pytest.mark.parametrize("late", [Step.RATING, Step.FINAL, Step.REVIEW])
def test_a_step_that_never_ends_costs_no_answer(late: Step) -> None:
    """Without a rating the first candidate answers, without a final the review, without that the first solution."""
    it, _ = timed(lambda request: 1e9 if request.label.step is late else 1, 100, bestofn_n=2, rate_always=True)
    assert run(it).answer
    assert any(line.endswith("left out: too slow") and late.value in line for line in it.caller.tracker.degraded.lines)


def test_a_plan_that_never_ends_leaves_time_for_a_direct_answer() -> None:
    """A tenth of the time before a call has shown how long one takes."""
    it, clock = timed(lambda request: 9 if request.label.step is Step.DIRECT else 1e9, 100, bestofn_n=1)
    assert run(it).answer
    assert {request.label.step for request in it.client.requests} == {Step.PLAN, Step.DIRECT, Step.FINAL}
    assert it.client.of(Step.DIRECT)[0].deadline.whole is it.caller.deadline
    assert clock.now <= 100


def test_no_answer_in_time_is_a_504() -> None:
    """Whichever call was the last to notice."""
    for effort in ("medium", "auto", "none"):
        it, _ = timed(lambda _: 1e9, 10, effort=effort)
        with pytest.raises(DeadlineExceeded, match="no answer within 10 s"):
            run(it)


def test_less_is_begun_when_calls_are_known_to_be_slow() -> None:
    """Earlier requests' calls took 20 seconds each: a candidate without a review is what 75 seconds bear."""
    it, _ = timed(lambda _: 20, 75)
    it.caller = changed(it.caller, call_times=CallTimes(before=20.0))
    assert run(it).answer
    assert it.caller.tracker.degraded.lines[:2] == (
        "1 of 3 candidates: the remaining 74 s allow no more",
        "no review: the remaining 74 s allow no more",
    )


def test_auto_opens_no_candidate_for_which_there_is_no_time() -> None:
    """Four calls of 10 seconds and a rating, after four that took at least as long."""
    it, _ = timed(lambda _: 10, 85, ("The answer is 1.", "The answer is 2.", "Well."), effort="auto", planning_n=2)
    assert len(run(it).candidates) == 1
    assert re.fullmatch(r"1 of 3 candidates: the remaining \d+ s allow no more", it.caller.tracker.degraded.lines[0])


class Stuck:
    """A call that ends when its deadline is ended, and says why."""

    def __init__(self) -> None:
        self.reached = threading.Event()

    def __call__(self, request: ChatRequest) -> CepoError:
        """Wait for that end."""
        ended = threading.Event()
        with request.deadline.on_end(ended.set):
            self.reached.set()
            assert ended.wait(PATIENCE), "the call was never ended"
        with pytest.raises(CepoError) as raised:
            request.deadline.check()
        return raised.value


def over_after_ratings(it: Desk, stuck: Stuck, seconds: float, late: float, ratings: int) -> None:
    """Give a request so many seconds by a clock that stands still until one call is stuck and these ratings given."""
    clock, inner, rated, lock = Clock(), it.client._answer, list[ChatRequest](), threading.Lock()

    def answer(request: ChatRequest) -> Any:
        if request.label.step is Step.RATING:
            with lock:
                rated.append(request)
                last = len(rated) == ratings
            if last:
                assert stuck.reached.wait(PATIENCE)
                clock.pass_until(late)
        return inner(request)

    it.client._answer = answer
    it.caller = replace(it.caller, deadline=Deadline(seconds, clock))


def test_unfinished_candidates_are_ended_when_others_are_there_to_choose_from() -> None:
    """Their calls in flight are given up; the others were rated while there was time."""
    stuck = Stuck()
    it = Desk(lambda request: stuck(request) if request.label.candidate == 2 else "Rating: [[1]]", rate_always=True)
    over_after_ratings(it, stuck, 0.6, 0.55, ratings=2)
    outcome = run(it)
    assert [candidate.number for candidate in outcome.candidates] == [1, 3]
    assert outcome.ratings == (1.0, 1.0)
    assert any(line.startswith("candidate 2 left out: ") for line in it.caller.tracker.degraded.lines)
    assert {request.label.step for request in it.client.requests if request.label.candidate == 2} == {Step.PLAN}


def test_who_is_late_is_ended_when_one_more_call_is_all_there_is_time_for() -> None:
    """A final answer might take the time that is kept for ratings; the review that is there stands for it."""
    stuck = Stuck()
    it = Desk(
        lambda request: stuck(request) if (request.label.step, request.label.candidate) == (Step.FINAL, 2) else "7",
        bestofn_n=2,
        rate_always=True,
    )
    over_after_ratings(it, stuck, 1.2, 0.9, ratings=1)
    for seconds in (0.0, 0.0, 10.0):  # most calls are quick, but one was not: a quarter of the time is kept
        it.caller.tracker.call_times.add(seconds)
    assert [candidate.answer for candidate in run(it).candidates] == ["7", "7"]
    why = "the remaining time is needed for choosing among the other candidates"
    assert f"candidate 2 final left out: {why}" in it.caller.tracker.degraded.lines


@pytest.mark.parametrize("step", [Step.EXECUTE, Step.REVIEW, Step.FINAL, Step.RATING])
def test_the_end_of_all_time_takes_nothing_that_is_there(step: Step) -> None:
    """Where a step notices only when the whole is over: no further call, and the answer out of what there was."""
    late = [2] if step is Step.EXECUTE else []  # the second execution: there is one solution

    def answer(request: ChatRequest) -> Any:
        if request.label.step is step and (not late or late.append(0) or len(late) > late[0]):
            return DeadlineExceeded("over")
        return "Rating: [[1]]"

    it = Desk(answer, bestofn_n=2 if step is Step.RATING else 1, planning_n=2, rate_always=True)
    assert run(it).answer == "Rating: [[1]]"
    assert any(line.endswith(" left out: over") for line in it.caller.tracker.degraded.lines)


def test_a_candidate_whose_time_was_over_is_left_out_while_another_lives() -> None:
    """It is no reason to take the other's answer away."""
    it = Desk()
    lives = Candidate(1, "7")
    assert survivors(it.caller, [lives, DeadlineExceeded("over")]) == (lives,)
    assert it.caller.tracker.degraded.lines == ("candidate 2 left out: over",)
    with pytest.raises(DeadlineExceeded):
        survivors(it.caller, [ApiTimeout("slow"), DeadlineExceeded("over")])


def test_every_step_leaves_time_for_choosing() -> None:
    """Those before the answer for one more call, the others for what follows a call."""
    it, _ = timed(lambda _: 0, 100, bestofn_n=2, planning_n=1, planning_m=1, rate_always=True)
    seen: dict[Step, float] = {}
    inner = it.client._answer

    def answer(request: ChatRequest) -> Any:
        seen.setdefault(request.label.step, request.deadline.remaining)
        return inner(request)

    it.client._answer = answer
    run(it)
    late = 100 - kept_for_choosing(100)
    assert {step: seen[step] for step in (Step.FINAL, Step.RATING)} == {Step.FINAL: late, Step.RATING: late}
    assert seen[Step.PLAN] == pytest.approx(100 - kept_for_answer(100, None))


def test_an_unfinished_candidate_gives_the_solution_that_it_has() -> None:
    """Two of its plans are executed when it is ended: the first is its answer, without a review."""
    late, stuck = threading.Lock(), Stuck()
    executed: list[ChatRequest] = []

    def answer(request: ChatRequest) -> Any:
        if request.label == replace(request.label, step=Step.EXECUTE, candidate=2):
            with late:
                executed.append(request)
                third = len(executed) == 3
            return stuck(request) if third else "a solution"
        return "Rating: [[1]]"

    it = Desk(answer, bestofn_n=2, rate_always=True)
    over_after_ratings(it, stuck, 0.6, 0.55, ratings=1)
    assert {one.number: one.answer for one in run(it).candidates} == {1: "Rating: [[1]]", 2: "a solution"}
    assert any(line.startswith("candidate 2 review left out: ") for line in it.caller.tracker.degraded.lines)


def test_without_any_finished_candidate_none_is_ended() -> None:
    """The one that comes first may still come in the time that is kept for choosing."""
    it, _ = timed(lambda request: 70 if request.label.step is Step.DIRECT else 1e9, 100, bestofn_n=1)
    with pytest.raises(DeadlineExceeded):
        run(it)
    assert it.client.of(Step.DIRECT)


def test_a_request_without_a_limit_keeps_nothing() -> None:
    """And its calls may take for ever."""
    it = Desk("x", bestofn_n=1)
    it.caller = replace(it.caller, deadline=Deadline())
    run(it)
    assert {request.deadline.remaining for request in it.client.requests} == {float("inf")}


def test_an_error_of_time_is_no_matter_of_one_call() -> None:
    """A call that was ended for want of time is told to the client as the request's time being over."""
    it = Desk(lambda request: OutOfTime("kept") if request.label.candidate else completion(""), bestofn_n=1)
    it.caller = replace(it.caller, deadline=Deadline(60))
    with pytest.raises(DeadlineExceeded, match="within 60 s"):
        run(it)
