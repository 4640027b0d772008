#!/usr/bin/env python3
"""
Tests for CePO's plan diversity: its settings, and what it makes of the approaches that a model proposes
"""

import dataclasses
import glob
import os
import sys
import threading
from types import SimpleNamespace

import pytest
import yaml

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import optillm.cepo
from optillm.cepo.cepo import CepoConfig, generate_n_completions, init_cepo_config, parse_approaches

CONFIGS = sorted(glob.glob(os.path.join(os.path.dirname(optillm.cepo.__file__), "configs", "*.yaml")))


class MockClient:
    """Client that answers the calls for approaches, which have 77 tokens, with the given replies, in order"""

    def __init__(self, *replies):
        self.replies = list(replies)
        self.proposing = []
        self.requests = []
        self.lock = threading.Lock()
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))

    def create(self, **request):
        text = "text"
        with self.lock:
            if request["max_tokens"] == 77:
                self.proposing.append(request)
                text = self.replies.pop(0)
            self.requests.append(request)
        choice = SimpleNamespace(message=SimpleNamespace(content=text), finish_reason="stop")
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=10))


def generate(client):
    settings = {
        "bestofn_n": 3,
        "planning_n": 1,
        "planning_m": 1,
        "planning_temperature_step0": 0.9,
        "planning_max_tokens_step0": 77,
        "planning_max_tokens_step4": 0,
        "use_plan_diversity": True,
        "use_reasoning": False,
    }
    with open(CONFIGS[0]) as file:
        config = CepoConfig(**{**yaml.safe_load(file), **settings})
    return generate_n_completions("", "What is 2 + 2?", client, "model", config, None)


@pytest.mark.parametrize("path", CONFIGS, ids=os.path.basename)
def test_settings_of_step_0(path):
    config = init_cepo_config({"cepo_config_file": path, "cepo_planning_max_tokens_step0": 77})
    assert config.planning_max_tokens_step0 == 77
    assert config.planning_temperature_step0 == config.planning_temperature_step1


def test_configuration_without_settings_of_step_0():
    with open(CONFIGS[0]) as file:
        settings = {name: value for name, value in yaml.safe_load(file).items() if not name.endswith("_step0")}
    assert dataclasses.asdict(CepoConfig(**settings))["planning_max_tokens_step0"] == 4096


def test_each_completion_follows_its_approach():
    client = MockClient('```json\n{"approach_1": "Count.", "approach_2": "Add.", "approach_3": "Look up."}\n```')
    _, tokens, log = generate(client)
    assert log["approaches"] == ["Count.", "Add.", "Look up."]
    for approach in log["approaches"]:
        # In the plan of one completion, and in the execution of that plan
        assert sum(approach in str(request["messages"]) for request in client.requests) == 2
    assert [(request["max_tokens"], request["temperature"]) for request in client.proposing] == [(77, 0.9)]


def test_too_few_approaches_are_shared():
    client = MockClient('{"approach_1": "Count.", "approach_2": "Add.')
    completions, _, log = generate(client)
    assert log["approaches"] == ["Count."]
    assert completions == ["text"] * 3
    assert sum("Count." in str(request["messages"]) for request in client.requests) == 2 * 3


@pytest.mark.parametrize("reply", [None, "", "I cannot.", "[1, 2]", '{"approach_1": 1}', '{"approach_1": ["Count."]}'])
def test_no_approaches_are_asked_for_again_and_done_without(reply):
    client = MockClient(reply, reply)
    completions, tokens, log = generate(client)
    assert log["approaches"] == []
    assert completions == ["text"] * 3
    assert len(client.proposing) == 2
    assert tokens == 10 * (2 + 3 * 3)  # of these calls too


@pytest.mark.parametrize(
    "text, approaches",
    [
        ('{"approach_1": "Count.", "approach_2": "Add."}', ["Count.", "Add."]),
        ('Here they are:\n```json\n{\n    "approach_1" : "Count."\n}\n```\nShall I go on?', ["Count."]),
        (
            r'{"approach_1": "Use \frac{1}{2}.", "approach_2": "Use \\sqrt{2}."}',
            [r"Use \frac{1}{2}.", r"Use \sqrt{2}."],
        ),
        (r'{"approach_1": "Prove that \"n\" is even."}', ['Prove that "n" is even.']),
        ('{"approach_1": "Two\nlines.", "approach_2": ""}', ["Two\nlines."]),
        ('{"approach_1": {"name": "Count.", "steps": 2}}', ["Count."]),
    ],
)
def test_parse_approaches(text, approaches):
    assert parse_approaches(text) == approaches


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
