#!/usr/bin/env python3
"""
Tests for what CePO sends to which model: a reasoning effort, and the switch for thinking at the end of a prompt
"""

import os
import sys
from types import SimpleNamespace

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from optillm.cepo.cepo import cepo, init_cepo_config

CONFIGS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "optillm", "cepo", "configs")

LLAMA = ["llama-3.3-70b", "llama3.1-8b", "meta-llama/Llama-3.3-70B-Instruct"]
INSTRUCT = ["qwen-3-235b-a22b-instruct-2507"]
REASONING = ["gpt-oss-120b", "ollama/gpt-oss:20b", "o4-mini", "qwen-3.8-27b", "zai-glm-4.7"]
QWEN3 = ["qwen-3-32b", "Qwen/Qwen3-8B", "qwen3:30b-a3b"]


class MockClient:
    """Client that answers every call"""

    def __init__(self):
        self.efforts = []
        self.prompts = []
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))

    def create(self, **request):
        self.efforts.append(request.get("reasoning_effort"))
        self.prompts.append(request["messages"][-1]["content"])
        choice = SimpleNamespace(message=SimpleNamespace(content="The answer is 4."), finish_reason="stop")
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=10))


def config(file="cepo_config.yaml", **changes):
    """A packaged configuration, with a single candidate that no judge is asked about"""
    small = {"bestofn_n": 1, "planning_n": 1, "planning_m": 1, "bestofn_rating_type": "majority"}
    flags = {f"cepo_{name}": value for name, value in {**small, **changes}.items()}
    return init_cepo_config({"cepo_config_file": os.path.join(CONFIGS, file), **flags})


def ask(model, cepo_config):
    client = MockClient()
    assert cepo("", "What is 2 + 2?", client, model, cepo_config)[0] == "The answer is 4."
    return client


@pytest.mark.parametrize("model", LLAMA + INSTRUCT)
def test_a_model_that_refuses_reasoning_is_not_asked_for_it(model):
    assert set(ask(model, config()).efforts) == {None}


@pytest.mark.parametrize("model", REASONING + QWEN3)
def test_any_other_model_is_asked_for_reasoning(model):
    assert set(ask(model, config()).efforts) == {"high"}


def test_the_configuration_has_the_last_word():
    assert set(ask("llama-3.3-70b", config(use_reasoning=True)).efforts) == {"high"}
    assert set(ask("gpt-oss-120b", config(use_reasoning=False)).efforts) == {None}


@pytest.mark.parametrize("file", ["cepo_config_gptoss.yaml", "cepo_config_qwen3.yaml"])
def test_configurations_for_reasoning_models_switch_it_on(file):
    assert config(file).use_reasoning is True


@pytest.mark.parametrize("model", QWEN3)
def test_qwen3_is_told_to_think(model):
    ends = [prompt.endswith("? /think") or prompt.endswith(". /think") for prompt in ask(model, config()).prompts]
    assert ends == [False, True, True, True]  # a plan is made without


@pytest.mark.parametrize("model", LLAMA + INSTRUCT + REASONING)
def test_no_other_model_is_told_so(model):
    for steps in ({}, {"planning_max_tokens_step1": 0}):
        prompts = ask(model, config(**steps)).prompts
        assert not [prompt for prompt in prompts if "/think" in prompt or prompt != prompt.strip()]


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
