#!/usr/bin/env python3
"""
Tests for what CePO does with the completions it has: several, a single one, or none at all
"""

import os
import sys
import threading
from types import SimpleNamespace

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from optillm.cepo.cepo import cepo, parse_preference, rate_completions_pairwise

PLAN_TOKENS, DIRECT_TOKENS, RATING_TOKENS = 100, 200, 300


class MockClient:
    """Client that answers with what a function makes of the request: a text, or None for a reply that was cut"""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))

    def create(self, **request):
        self.requests.append(request)
        text = self.answer(request)
        choice = SimpleNamespace(
            message=SimpleNamespace(content=text), finish_reason="length" if text is None else "stop"
        )
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=10))


def config(**changes):
    settings = {
        "bestofn_n": 1,
        "bestofn_temperature": 0.1,
        "bestofn_max_tokens": RATING_TOKENS,
        "bestofn_rating_type": "absolute",
        "planning_n": 1,
        "planning_m": 1,
        "planning_max_tokens_direct_resp": DIRECT_TOKENS,
        "planning_temperature_direct_resp": 0.1,
        "use_plan_diversity": False,
        "use_reasoning": False,
        "use_reasoning_fallback": False,
        "num_of_retries": 0,
        "rating_model": None,
        "print_output": False,
    }
    for step in range(1, 5):
        settings[f"planning_max_tokens_step{step}"] = PLAN_TOKENS
        settings[f"planning_temperature_step{step}"] = 0.1
    return SimpleNamespace(**{**settings, **changes})


def compare(client, completions, bestofn_n):
    return rate_completions_pairwise(
        "", "What is 2 + 2?", client, "model", completions, config(bestofn_n=bestofn_n), {}
    )


def prefer_four(request):
    """A judge that sees whether 4 or 5 stands first"""
    text = request["messages"][-1]["content"]
    return f"**Better response:** [[{int(text.index('It is 5') < text.index('It is 4'))}]]"


def test_pairs_of_the_completions_that_exist():
    client = MockClient(prefer_four)
    best, tokens, log = compare(client, ["It is 5", "It is 4"], bestofn_n=3)  # one of three was lost
    assert best == "It is 4"
    assert log["ratings"] == [0, 2]
    assert len(client.requests) == 2
    assert tokens == 20


def test_pairs_are_compared_at_the_same_time():
    caller = threading.current_thread()
    all_are_asked = threading.Barrier(6)

    def wait(request):
        assert threading.current_thread() is not caller
        all_are_asked.wait()
        return "Better Response: [[0]]"

    best, tokens, log = compare(MockClient(wait), ["a", "b", "c"], bestofn_n=3)
    assert best == "a"
    assert log["ratings"] == [2, 2, 2]
    assert tokens == 60


@pytest.mark.parametrize("reply", [None, "Both are fine.", "Better Response: [[2]]"])
def test_a_comparison_without_outcome_counts_for_neither(reply):
    replies = {"a": reply, "b": "Better Response: [[0]]"}

    def answer(request):
        return replies["a" if "Response 0: first" in request["messages"][-1]["content"] else "b"]

    best, _, log = compare(MockClient(answer), ["first", "second"], bestofn_n=2)
    assert best == "second"
    assert log["ratings"] == [0, 1]


@pytest.mark.parametrize(
    "text, preferred",
    [
        ("Better Response: [[0]]", 0),
        ("**Better Response:** [[ 1 ]]", 1),
        ("The better response is Response 1.", 1),
        ("Better Response: [[0]], no: Better Response: [[1]]", 1),
        ("Better Response: [[10]]", None),
        ("Neither.", None),
        (None, None),
    ],
)
def test_parse_preference(text, preferred):
    assert parse_preference(text) == preferred


@pytest.mark.parametrize("rating_type", ["absolute", "pairwise", "majority"])
def test_a_single_completion_is_not_rated(rating_type):
    client = MockClient(lambda request: "It is 4")
    best, tokens = cepo("", "What is 2 + 2?", client, "model", config(bestofn_rating_type=rating_type))
    assert best == "It is 4"
    assert [request["max_tokens"] for request in client.requests] == [PLAN_TOKENS] * 4
    assert tokens == 40


@pytest.mark.parametrize("rating_type", ["absolute", "pairwise", "majority"])
def test_no_completion_is_a_clear_error(rating_type):
    with pytest.raises(RuntimeError, match="no completion"):
        cepo("", "What is 2 + 2?", MockClient(lambda request: None), "model", config(bestofn_rating_type=rating_type))


@pytest.mark.parametrize("plan", [None, ""])
def test_a_plan_that_was_not_made_is_not_executed(plan):
    client = MockClient(lambda request: plan if len(client.requests) == 1 else "It is 4")
    best, _ = cepo("", "What is 2 + 2?", client, "model", config())
    assert best == "It is 4"
    # The plan, a direct answer in its place, the review and the final answer
    expected = [PLAN_TOKENS, DIRECT_TOKENS, PLAN_TOKENS, PLAN_TOKENS]
    assert [request["max_tokens"] for request in client.requests] == expected


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
