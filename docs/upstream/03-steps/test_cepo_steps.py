#!/usr/bin/env python3
"""
Tests for CePO's steps: each uses its own limit of tokens and its own temperature
"""

import os
import sys
from types import SimpleNamespace

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from optillm.cepo.cepo import generate_completion


class MockClient:
    """Client that answers every call"""

    def __init__(self, finish_reason="stop"):
        self.finish_reason = finish_reason
        self.calls = []
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))

    def create(self, **request):
        self.calls.append((request["max_tokens"], request["temperature"]))
        choice = SimpleNamespace(message=SimpleNamespace(content="It is 4."), finish_reason=self.finish_reason)
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=10))


CONFIG = {
    "planning_n": 1,
    "planning_m": 1,
    "planning_max_tokens_step1": 101,
    "planning_max_tokens_step2": 102,
    "planning_max_tokens_step3": 103,
    "planning_max_tokens_step4": 104,
    "planning_max_tokens_direct_resp": 105,
    "planning_temperature_step1": 0.1,
    "planning_temperature_step2": 0.2,
    "planning_temperature_step3": 0.3,
    "planning_temperature_step4": 0.4,
    "planning_temperature_direct_resp": 0.5,
    "use_plan_diversity": False,
    "use_reasoning": False,
    "use_reasoning_fallback": False,
    "num_of_retries": 0,
    "print_output": False,
}


def complete(client, **changes):
    return generate_completion("", "What is 2 + 2?", client, "model", SimpleNamespace(**{**CONFIG, **changes}))[0]


def test_each_step_uses_its_own_settings():
    client = MockClient()
    assert complete(client) == "It is 4."
    assert client.calls == [(101, 0.1), (102, 0.2), (103, 0.3), (104, 0.4)]


def test_a_step_that_is_switched_off_takes_no_other_along():
    client = MockClient()
    assert complete(client, planning_max_tokens_step1=0, planning_max_tokens_step4=0) == "It is 4."
    assert client.calls == [(102, 0.2), (103, 0.3)]


def test_a_direct_answer_keeps_its_settings():
    client = MockClient(finish_reason="length")
    complete(client)
    assert (105, 0.5) in client.calls
    assert client.calls[-2:] == [(103, 0.3), (104, 0.4)]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
