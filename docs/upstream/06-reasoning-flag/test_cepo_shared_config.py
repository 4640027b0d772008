#!/usr/bin/env python3
"""
Tests for CePO's configuration, which all requests of a server share: no request changes it
"""

import copy
import os
import sys
from types import SimpleNamespace

import httpx
import openai
import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from optillm.cepo.cepo import cepo, init_cepo_config

CONFIG_FILE = os.path.join(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "optillm", "cepo", "configs", "cepo_config.yaml"
)


class MockClient:
    """Client whose model takes a reasoning effort, or does not"""

    def __init__(self, reasons):
        self.reasons = reasons
        self.efforts = []
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))

    def create(self, **request):
        effort = request.get("reasoning_effort")
        self.efforts.append(effort)
        if effort and not self.reasons:
            body = {"error": {"message": f'think value "{effort}" is not supported for this model'}}
            response = httpx.Response(400, request=httpx.Request("POST", "http://localhost/v1/chat/completions"))
            raise openai.BadRequestError(f"Error code: 400 - {body}", response=response, body=body)
        choice = SimpleNamespace(message=SimpleNamespace(content="The answer is 4."), finish_reason="stop")
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=10))


@pytest.fixture
def config():
    """The packaged configuration, with a single candidate that no judge is asked about"""
    return init_cepo_config(
        {
            "cepo_config_file": CONFIG_FILE,
            "cepo_bestofn_n": 1,
            "cepo_planning_n": 1,
            "cepo_planning_m": 1,
            "cepo_bestofn_rating_type": "majority",
            "cepo_use_reasoning": True,
        }
    )


def ask(client, config):
    return cepo("", "What is 2 + 2?", client, "model", config)[0]


def test_a_refused_reasoning_effort_does_not_change_the_configuration(config):
    before = copy.copy(config)
    assert ask(MockClient(reasons=False), config) == "The answer is 4."
    assert config == before


def test_the_next_request_is_made_with_reasoning(config):
    ask(MockClient(reasons=False), config)
    client = MockClient(reasons=True)
    assert ask(client, config) == "The answer is 4."
    assert set(client.efforts) == {"high"}


def test_the_refused_request_goes_on_without_reasoning(config):
    client = MockClient(reasons=False)
    ask(client, config)
    assert client.efforts[0] == "high"
    assert set(client.efforts[1:]) == {None}


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
