"""OptiLLM's raters, driven one candidate or pair at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from support.desk import Desk
from support.error_kinds import error_kinds
from support.scripted import completion

from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.cepo.judge import judge_of
from optillm_cerebras_cepo.cepo.outcome import Ratings
from optillm_cerebras_cepo.cepo.step_caller import StepCaller
from optillm_cerebras_cepo.core.chat import ChatRequest, Step
from optillm_cerebras_cepo.core.errors import ApiUnavailable, CepoError

THREE = [Candidate(1, "first answer"), Candidate(2, "second answer"), Candidate(3, "third answer")]


def rate(caller: StepCaller, candidates: Sequence[Candidate]) -> Ratings:
    """Rate these as they arrive one after another."""
    judge = judge_of(caller, len(candidates))
    for candidate in candidates:
        judge.rate(candidate)
    return judge.ratings(candidates)


def text(request: ChatRequest) -> str:
    """What the judge is asked last."""
    return request.messages[-1].content


def test_a_rating_is_one_call() -> None:
    """OptiLLM's rater makes two."""
    it = Desk(lambda request: f"Rating: [[{int('second' in text(request))}]]")
    assert rate(it.caller, THREE) == (0.0, 1.0, 0.0)
    assert len(it.client.requests) == 3


def test_a_rating_has_its_own_temperature_and_limit() -> None:
    """And belongs to its candidate."""
    it = Desk("Rating: [[1]]", bestofn_temperature=0.7, bestofn_max_tokens=77)
    rate(it.caller, THREE)
    for request in it.client.requests:
        assert (request.label.step, request.temperature, request.max_tokens) == (Step.RATING, 0.7, 77)
    assert {request.label.candidate for request in it.client.requests} == {1, 2, 3}


def test_the_judge_sees_question_and_conversation() -> None:
    """The client's system prompt stays first in the judge's."""
    it = Desk("Rating: [[1]]")
    rate(it.caller, THREE)
    messages = it.client.requests[0].messages
    assert messages[0].content.startswith("Be exact.")
    assert messages[1:3] == it.caller.request.question.history
    assert "What is 6 times 7?" in messages[-1].content


@pytest.mark.parametrize(
    "reply",
    [
        "no number",
        completion(""),
        completion("Rating: [[", "length"),
        "Rating: [[-1]]",
        "<think>Rating: [[1]]?</think>I cannot tell.",
    ],
)
def test_an_unreadable_rating_is_none_and_noted(reply: Any) -> None:
    """Not -1, and no crash (cepo.py:774)."""
    it = Desk(lambda request: reply if "second" in text(request) else "Rating: [[0]]")
    assert rate(it.caller, THREE) == (0.0, None, 0.0)
    assert it.caller.tracker.degraded.lines == ("rating of candidate 2 left out: the judge's reply has none",)


def test_a_rating_that_fails_is_left_out() -> None:
    """The others count."""
    it = Desk(lambda request: ApiUnavailable("busy") if "first" in text(request) else "Rating: [[1]]")
    assert rate(it.caller, THREE) == (None, 1.0, 1.0)
    assert it.caller.tracker.degraded.lines == ("rating of candidate 1 left out: busy",)


@pytest.mark.parametrize("kind", error_kinds())
def test_a_judges_failure_is_a_failed_rating(kind: type[CepoError]) -> None:
    """Whatever the API says to the judge, the candidates stay; only what discards them goes through."""
    it = Desk(lambda _: kind("why"))
    if kind.discards_answers:
        with pytest.raises(kind):
            rate(it.caller, THREE)
    else:
        assert rate(it.caller, THREE) == (None, None, None)
        assert "rating of candidate 1 left out: why" in it.caller.tracker.degraded.lines


@pytest.mark.parametrize("kind", ["absolute", "pairwise", "majority"])
def test_a_single_candidate_is_not_rated(kind: str) -> None:
    """It is chosen anyway."""
    it = Desk(bestofn_rating_type=kind)
    assert rate(it.caller, THREE[:1]) == (None,)
    assert it.client.requests == []


@pytest.mark.parametrize("count", [2, 3])
def test_pairs_are_compared_in_both_orders(count: int) -> None:
    """Over the candidates that exist, however many were wanted (OptiLLM: IndexError, cepo.py:824)."""
    it = Desk(lambda r: f"Better Response: [[{int('Response 1: second' in text(r))}]]", bestofn_rating_type="pairwise")
    ratings = rate(it.caller, THREE[:count])
    assert len(it.client.requests) == count * (count - 1)
    assert ratings[1] == max(rating for rating in ratings if rating is not None)
    assert sum(rating for rating in ratings if rating is not None) == count * (count - 1)


def test_a_judge_who_names_a_third_of_two_is_not_counted() -> None:
    """OptiLLM crashes on it (cepo.py:866); here neither order counts."""
    it = Desk("Better Response: [[7]]", bestofn_rating_type="pairwise")
    assert rate(it.caller, THREE[:2]) == (None, None)
    assert it.caller.tracker.degraded.lines == ("rating of candidate 1 and 2 left out: the judge's reply has none",)


def test_a_comparison_that_fails_costs_its_pair_only() -> None:
    """The pairs that were compared decide."""

    def answer(request: ChatRequest) -> Any:
        if "first answer" in text(request) and "second answer" in text(request):
            return ApiUnavailable("busy")
        return f"Better Response: [[{int('Response 1: third' in text(request))}]]"

    it = Desk(answer, bestofn_rating_type="pairwise")
    assert rate(it.caller, THREE) == (0.0, 0.0, 4.0)


def test_a_majority_needs_no_call() -> None:
    """The choice is made among the answers alone."""
    it = Desk(bestofn_rating_type="majority")
    assert rate(it.caller, THREE) == (None, None, None)
    assert it.client.requests == []


def test_the_last_candidate_left_is_not_rated() -> None:
    """When the others are lost there is nothing to choose."""
    it = Desk("Rating: [[1]]")
    judge = judge_of(it.caller, 3)
    judge.expect_one_less()
    judge.expect_one_less()
    judge.rate(THREE[2])
    assert it.client.requests == []


@pytest.mark.parametrize(
    ("verdict", "rating"), [("rating : [1]", 1.0), ("**Rating:** 8/10", 0.8), ("Rating: [[0]] no: Rating: [[1]]", 1.0)]
)
def test_ratings_are_read_leniently(verdict: str, rating: float) -> None:
    """Spacing, case, decimals, x/10, the last one given."""
    assert rate(Desk(verdict).caller, THREE) == (rating,) * 3


@pytest.mark.parametrize("remark", ["Confidence score: 95", "(It would be rated 1 with another sign.)", "Rating: 80%"])
def test_no_remark_of_a_judge_makes_a_wrong_answer_beat_a_right_one(remark: str) -> None:
    """The numbers that a judge writes beside its rating are no ratings."""
    wrong = f"Rating: [[0]]\n{remark}"
    assert rate(Desk(lambda r: "Rating: [[1]]" if "second" in text(r) else wrong).caller, THREE) == (0.0, 1.0, 0.0)
