#!/usr/bin/env python3
"""
Tests for CePO's absolute ratings: how often a judge is asked, and what is read of its reply
"""

import os
import sys
from types import SimpleNamespace

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from optillm.cepo.cepo import parse_rating, rate_completions_absolute


class MockJudge:
    """Client whose replies are given, in order"""

    def __init__(self, *replies, finish_reason="stop"):
        self.replies = list(replies)
        self.finish_reason = finish_reason
        self.calls = []
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))

    def create(self, **request):
        self.calls.append(request)
        message = SimpleNamespace(content=self.replies.pop(0))
        choice = SimpleNamespace(message=message, finish_reason=self.finish_reason)
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=10))


CONFIG = SimpleNamespace(
    bestofn_max_tokens=100,
    bestofn_temperature=0.1,
    use_reasoning=False,
    use_reasoning_fallback=False,
    num_of_retries=0,
    print_output=False,
)


def rate(judge, completions):
    return rate_completions_absolute("", "What is 2 + 2?", judge, "model", completions, CONFIG, {})


def test_one_call_for_each_completion():
    judge = MockJudge("Rating: [[0]]", "Rating: [[1]]")
    best, tokens, log = rate(judge, ["5", "4"])
    assert best == "4"
    assert log["ratings"] == [0, 1]
    assert len(judge.calls) == 2
    assert tokens == 20  # all that was spent


def test_a_cut_reply_is_no_rating():
    best, _, log = rate(MockJudge(None, None, finish_reason="length"), ["5", "4"])
    assert best == "5"
    assert log["ratings"] == [-1, -1]


@pytest.mark.parametrize(
    "text, rating",
    [
        ("Rating: [[1]]", 1),
        ("**Rating:** [[ 0.5 ]]", 0.5),
        ("rating: 7/10", 7),
        ("A rating of one would be Rating: [[1]], but: Rating: [[0]]", 0),
        ("It is right.", None),
        ("", None),
        (None, None),
    ],
)
def test_parse_rating(text, rating):
    assert parse_rating(text) == rating


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
