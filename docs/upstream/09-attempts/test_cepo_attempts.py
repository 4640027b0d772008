#!/usr/bin/env python3
"""
Tests for CePO's attempts at plans: how many are made, and whether all of their tokens are counted
"""

import os
import sys
import threading
from types import SimpleNamespace

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from optillm.cepo.cepo import generate_completion


class MockClient:
    """Client whose first `cut` solutions are cut at their token limit"""

    def __init__(self, cut):
        self.cut = cut
        self.calls = {"plan": 0, "solution": 0, "other": 0}
        self.reviewed = None
        self.lock = threading.Lock()
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))

    def create(self, **request):
        roles = [message["role"] for message in request["messages"]]
        on_own_thread = threading.current_thread() is threading.main_thread()
        step = "other" if on_own_thread else "solution" if "assistant" in roles else "plan"
        with self.lock:
            self.calls[step] += 1
            number = self.calls[step]
        if step == "other" and number == 1:
            self.reviewed = request["messages"][-1]["content"]
        reason = "length" if step == "solution" and number <= self.cut else "stop"
        choice = SimpleNamespace(message=SimpleNamespace(content=f"{step} number {number}"), finish_reason=reason)
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=10))


def generate(client, planning_n, planning_m):
    settings = {
        "planning_n": planning_n,
        "planning_m": planning_m,
        "planning_max_tokens_direct_resp": 100,
        "planning_temperature_direct_resp": 0.1,
        "use_plan_diversity": False,
        "use_reasoning": False,
        "use_reasoning_fallback": False,
        "num_of_retries": 0,
        "print_output": False,
    }
    for step in range(1, 5):
        settings[f"planning_max_tokens_step{step}"] = 100
        settings[f"planning_temperature_step{step}"] = 0.1
    return generate_completion("", "What is 2 + 2?", client, "model", SimpleNamespace(**settings))


@pytest.mark.parametrize(
    "planning_n, planning_m, cut, attempts",
    [
        (2, 5, 0, 2),  # none is rejected
        (2, 5, 1, 3),
        (2, 5, 3, 5),  # the last attempt is the second that is accepted
        (2, 5, 5, 5),  # none is left
        (3, 2, 0, 2),  # fewer attempts than plans
    ],
)
def test_a_further_attempt_for_each_that_was_rejected(planning_n, planning_m, cut, attempts):
    client = MockClient(cut)
    generate(client, planning_n, planning_m)
    assert client.calls["plan"] == client.calls["solution"] == attempts


def test_tokens_of_all_attempts_are_counted():
    client = MockClient(cut=0)
    _, tokens, _ = generate(client, planning_n=1, planning_m=4)
    assert tokens == 10 * sum(client.calls.values())


def test_only_accepted_solutions_are_reviewed():
    client = MockClient(cut=1)
    generate(client, planning_n=2, planning_m=4)
    assert client.reviewed.count("solution number") == 2
    assert "solution number 1" not in client.reviewed


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
