"""The seam under OptiLLM's real `generate_completion`: each call is told apart and gets what is its own."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from typing import Any

import pytest
from support.desk import Desk, changed
from support.scripted import completion

from optillm_cerebras_cepo.cepo.candidate import always, make_candidate
from optillm_cerebras_cepo.cepo.seam import CandidateSeam, Seam
from optillm_cerebras_cepo.core.chat import ChatRequest, Label, Message, Question, Step
from optillm_cerebras_cepo.core.errors import ApiUnavailable, UnusableReply, WrongKey

LIMITS: dict[str, Any] = {
    "planning_temperature_step1": 0.1,
    "planning_temperature_step2": 0.2,
    "planning_temperature_step3": 0.3,
    "planning_temperature_step4": 0.4,
    "planning_temperature_direct_resp": 0.5,
    "planning_max_tokens_step1": 101,
    "planning_max_tokens_step2": 102,
    "planning_max_tokens_step3": 103,
    "planning_max_tokens_step4": 104,
    "planning_max_tokens_direct_resp": 105,
}


def only(step: Step, answer: Any) -> Any:
    """Answer one step like this and the others with their own names."""
    return lambda request: answer if request.label.step is step else f"the {request.label.step.value}"


def steps(it: Desk) -> Counter[Step]:
    """How often each step was asked."""
    return Counter(request.label.step for request in it.client.requests)


def test_the_four_steps_are_told_apart() -> None:
    """Plans and executions on their own threads, review and final in order."""
    it = Desk(only(Step.FINAL, "42"), planning_n=2, planning_m=3)
    assert make_candidate(it.caller, 1).answer == "42"
    assert steps(it) == {Step.PLAN: 2, Step.EXECUTE: 2, Step.REVIEW: 1, Step.FINAL: 1}
    assert it.caller.tracker.degraded.lines == ()


def test_each_step_has_its_own_temperature_and_limit() -> None:
    """OptiLLM asks for step 1's in all four (cepo.py:419)."""
    it = Desk(**LIMITS)
    make_candidate(it.caller, 1)
    seen = {request.label.step: (request.temperature, request.max_tokens) for request in it.client.requests}
    expected = {Step.PLAN: (0.1, 101), Step.EXECUTE: (0.2, 102), Step.REVIEW: (0.3, 103), Step.FINAL: (0.4, 104)}
    assert seen == expected


def test_the_direct_answer_has_its_own_too() -> None:
    """It comes when every plan was rejected."""
    it = Desk(only(Step.PLAN, completion("cut", "length")), **LIMITS)
    make_candidate(it.caller, 1)
    direct = it.client.of(Step.DIRECT)[0]
    assert (direct.temperature, direct.max_tokens) == (0.5, 105)


def test_no_reasoning_effort_and_no_think_switch() -> None:
    """By default they reach no model."""
    it = Desk(cache_keys=False)
    make_candidate(it.caller, 1)
    assert len(it.client.requests) == 8
    for request in it.client.requests:
        assert request.options == {"top_p": 1.0}
        assert not any("/think" in message.content for message in request.messages)


def test_an_effort_that_optillm_asks_for_goes_no_further() -> None:
    """Not even to a model that takes it: the client's effort steers the plan instead."""
    it = Desk(cache_keys=False)
    caller = changed(it.caller, client=it.client, id="gpt-oss-120b")
    asked = {"model": "m", "messages": [{"role": "user", "content": "x"}], "reasoning_effort": "high", "stop": None}
    for seam in (CandidateSeam(caller, 1, always), Seam(caller, Label(Step.RATING))):
        seam.chat.completions.create(**asked, stream=False, max_tokens=1, temperature=2, top_p=1.0)
    assert [request.options for request in it.client.requests] == [{"top_p": 1.0}] * 2


def test_a_model_with_the_switch_keeps_it() -> None:
    """OptiLLM's " /think" stays for a model that reads it."""
    it = Desk()
    thinking = changed(it.caller, client=it.client, id="qwen-3-32b", reads_think_switch=True)
    make_candidate(thinking, 1)
    assert it.client.of(Step.REVIEW)[0].messages[-1].content.endswith(" /think")


def test_a_switch_that_the_client_wrote_is_its_own() -> None:
    """Only what stands at the end of OptiLLM's prompt is OptiLLM's."""
    it = Desk(question=Question("What does /think do?"))
    make_candidate(it.caller, 1)
    assert "/think" in it.client.of(Step.PLAN)[0].messages[-1].content


def test_the_conversation_keeps_its_roles() -> None:
    """System prompt first, earlier turns as the turns that they were, in every call, the direct one too."""
    for answer in (only(Step.FINAL, "42"), only(Step.PLAN, completion("", "stop"))):
        it = Desk(answer)
        make_candidate(it.caller, 1)
        for request in it.client.requests:
            assert request.messages[:3] == (Message("system", "Be exact."), *it.caller.request.question.history)
            assert request.messages[3].role == "user"
            assert "an earlier" not in "".join(message.content for message in request.messages[3:])


def test_no_system_prompt_is_no_message() -> None:
    """OptiLLM would send an empty one."""
    it = Desk(question=Question("What is 6 times 7?"))
    make_candidate(it.caller, 1)
    assert len(it.client.requests) == 8
    assert all(request.messages[0].role == "user" for request in it.client.requests)


@pytest.mark.parametrize("system", ["", "Be exact."])
def test_one_plan_alone_is_executed(system: str) -> None:
    """The smallest candidate: four calls, with and without a system prompt."""
    it = Desk(question=Question("What is 6 times 7?", system), planning_n=1, planning_m=1)
    make_candidate(it.caller, 1)
    assert [request.label.step for request in it.client.requests] == [Step.PLAN, Step.EXECUTE, Step.REVIEW, Step.FINAL]


UNUSABLE = [completion("cut", "length"), completion(""), completion("x", "content_filter"), ApiUnavailable("busy")]


@pytest.mark.parametrize("flaw", UNUSABLE)
def test_a_plan_that_fails_is_a_rejected_attempt(flaw: Any) -> None:
    """Nothing is executed for it, a further attempt takes its place, and the others go on."""
    failed: list[ChatRequest] = []

    def answer(request: ChatRequest) -> Any:
        if request.label.step is Step.PLAN and not failed:
            failed.append(request)
            return flaw
        return f"the {request.label.step.value}"

    it = Desk(answer, planning_n=2, planning_m=3)
    assert make_candidate(it.caller, 1).answer == "the final"
    assert steps(it) == {Step.PLAN: 3, Step.EXECUTE: 2, Step.REVIEW: 1, Step.FINAL: 1}
    assert len(it.caller.tracker.degraded.lines) == 1
    assert it.caller.tracker.degraded.lines[0].startswith("candidate 1 plan left out: ")


@pytest.mark.parametrize("flaw", UNUSABLE)
def test_an_execution_that_fails_is_a_rejected_attempt_too(flaw: Any) -> None:
    """A further attempt, with a plan of its own, takes its place."""
    failed: list[ChatRequest] = []

    def answer(request: ChatRequest) -> Any:
        if request.label.step is Step.EXECUTE and not failed:
            failed.append(request)
            return flaw
        return f"the {request.label.step.value}"

    it = Desk(answer, planning_n=2, planning_m=3)
    assert make_candidate(it.caller, 1).solutions == ("the execute", "the execute")
    assert steps(it) == {Step.PLAN: 3, Step.EXECUTE: 3, Step.REVIEW: 1, Step.FINAL: 1}
    assert it.caller.tracker.degraded.lines[0].startswith("candidate 1 execute left out: ")


@pytest.mark.parametrize("flaw", UNUSABLE)
def test_without_any_plan_there_is_the_direct_answer(flaw: Any) -> None:
    """Review and final answer follow it."""
    it = Desk(only(Step.EXECUTE, flaw))
    assert make_candidate(it.caller, 1).answer == "the final"
    assert steps(it)[Step.DIRECT] == 1
    assert "the direct" in it.client.of(Step.REVIEW)[0].messages[-1].content


@pytest.mark.parametrize("flaw", UNUSABLE)
def test_without_a_review_the_first_solution_is_used(flaw: Any) -> None:
    """A review that fails takes nothing with it."""
    it = Desk(only(Step.REVIEW, flaw))
    assert make_candidate(it.caller, 1).answer == "the final"
    assert "the execute" in it.client.of(Step.FINAL)[0].messages[-1].content
    assert it.caller.tracker.degraded.lines[0].startswith("candidate 1 review left out: ")


@pytest.mark.parametrize("flaw", UNUSABLE)
def test_without_a_final_answer_the_review_is_the_answer(flaw: Any) -> None:
    """Nothing cut or empty is ever an answer."""
    it = Desk(only(Step.FINAL, flaw))
    assert make_candidate(it.caller, 1).answer == "the review"


@pytest.mark.parametrize("flaw", UNUSABLE)
def test_without_plans_and_direct_answer_there_is_no_candidate(flaw: Any) -> None:
    """And no further call is made for it."""
    it = Desk(lambda request: flaw if request.label.step in (Step.PLAN, Step.DIRECT) else "x")
    with pytest.raises((UnusableReply, ApiUnavailable)):
        make_candidate(it.caller, 1)
    assert steps(it) == {Step.PLAN: 6, Step.DIRECT: 1}


def test_a_hopeless_error_goes_through() -> None:
    """A wrong key rejects no attempt: it ends the request."""
    it = Desk(only(Step.PLAN, WrongKey("wrong")))
    with pytest.raises(WrongKey):
        make_candidate(it.caller, 1)


def test_steps_that_are_switched_off_are_not_asked() -> None:
    """A limit of 0 skips planning, or the final answer."""
    it = Desk(planning_max_tokens_step1=0, planning_max_tokens_step4=0, planning_n=1, planning_m=1)
    assert make_candidate(it.caller, 1).answer == "an answer"
    assert steps(it) == {Step.EXECUTE: 1, Step.REVIEW: 1}
    assert it.client.of(Step.EXECUTE)[0].messages[0] == Message("system", "Be exact.")


def test_what_a_model_does_not_take_is_noted_by_step() -> None:
    """The reply says so under `fitted`."""
    from dataclasses import replace

    it = Desk(only(Step.REVIEW, replace(completion("ok"), fitted=("top_p dropped",))))
    make_candidate(it.caller, 1)
    assert it.caller.tracker.fitted.lines == ("review: top_p dropped",)


def test_attempts_start_as_they_are_needed() -> None:
    """Three at once; each rejected one lets one more begin, up to planning_m; then what there is must do."""
    for rejected in range(7):
        left = Rejections(rejected)
        it = Desk(left.plan)
        make_candidate(it.caller, 1)
        plans = min(3 + rejected, 6)
        assert steps(it)[Step.PLAN] == plans
        assert steps(it)[Step.EXECUTE] == plans - min(rejected, 6)
        assert left.most <= 3


class Rejections:
    """Cuts the first plans, and counts how many are asked for at once."""

    def __init__(self, rejected: int) -> None:
        self._left = rejected
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def plan(self, request: ChatRequest) -> Any:
        """Answer; a plan takes a moment."""
        if request.label.step is not Step.PLAN:
            return "ok"
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            cut, self._left = self._left > 0, self._left - 1
        time.sleep(0.01)
        with self._lock:
            self._now -= 1
        return completion("cut", "length") if cut else "a plan"


def test_a_defect_in_an_attempt_does_not_hang_the_others() -> None:
    """They are told that they are no longer needed."""

    def answer(request: ChatRequest) -> Any:
        return RuntimeError("a defect") if request.label.step is Step.PLAN else "ok"

    with pytest.raises(RuntimeError):
        make_candidate(Desk(answer).caller, 1)


def test_plans_that_agree_need_no_review() -> None:
    """When that is asked for; the final answer is made from the first solution."""
    it = Desk(only(Step.EXECUTE, "42"))
    candidate = make_candidate(it.caller, 1, needs_review=lambda solutions: len(set(solutions)) > 1)
    assert (candidate.solutions, candidate.reviewed, candidate.answer) == (("42", "42", "42"), False, "the final")
    assert steps(it) == {Step.PLAN: 3, Step.EXECUTE: 3, Step.FINAL: 1}
    assert it.caller.tracker.degraded.lines == ()


def test_without_a_review_the_first_solution_that_came_is_taken() -> None:
    """The others say the same in other words."""
    number = itertools.count()
    it = Desk(lambda request: f"{next(number)} said" if request.label.step is Step.EXECUTE else "ok")
    candidate = make_candidate(it.caller, 1, needs_review=lambda _: False)
    assert len(set(candidate.solutions)) == 3
    assert candidate.solutions[0] in it.client.of(Step.FINAL)[0].messages[-1].content
