#!/usr/bin/env python3
"""
Tests for CePO's LLM calls that fail: which errors are retried, what becomes of those that stay, and a refused
reasoning effort
"""

import os
import sys
from types import SimpleNamespace

import cerebras.cloud.sdk as cerebras_sdk
import httpx
import openai
import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from optillm.cepo import cepo
from optillm.cepo.cepo import llm_call, llm_call_reason_effort_fallback

REQUEST = httpx.Request("POST", "http://localhost/v1/chat/completions")


def status_error(sdk, name, status, message="it failed", body=None):
    response = httpx.Response(status, request=REQUEST)
    return getattr(sdk, name)(message, response=response, body=body)


def lasting_errors(sdk):
    return [status_error(sdk, "AuthenticationError", 401), status_error(sdk, "NotFoundError", 404)]


def retried_errors(sdk):
    return [
        status_error(sdk, "BadRequestError", 400),
        status_error(sdk, "UnprocessableEntityError", 422),
        status_error(sdk, "RateLimitError", 429),
        status_error(sdk, "InternalServerError", 503),
        sdk.APIConnectionError(request=REQUEST),
        sdk.APITimeoutError(request=REQUEST),
    ]


def names(errors):
    return [f"{type(error).__module__.split('.')[0]}-{type(error).__name__}" for error in errors]


RETRIED = retried_errors(cerebras_sdk) + retried_errors(openai)
LASTING = lasting_errors(cerebras_sdk) + lasting_errors(openai)

REFUSALS = [
    status_error(cerebras_sdk, "BadRequestError", 400, "reasoning_effort is not supported by this model"),
    status_error(cerebras_sdk, "UnprocessableEntityError", 422, "reasoning_effort: Input should be 'low'"),
    status_error(openai, "BadRequestError", 400, "Unrecognized request argument supplied: reasoning_effort"),
    status_error(openai, "BadRequestError", 400, "Unsupported parameter", {"param": "reasoning_effort"}),
    status_error(openai, "BadRequestError", 400, "Error code: 400 - {'error': {'message': 'think value \"high\"'}}"),
    status_error(openai, "BadRequestError", 400, 'Error code: 400 - think value "high"'),
]


class MockClient:
    """Client that raises the given errors, one in each call, and answers then"""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.calls = []
        self.chat = SimpleNamespace(completions=SimpleNamespace(create=self.create))

    def create(self, **request):
        self.calls.append(request)
        if self.errors:
            raise self.errors.pop(0)
        choice = SimpleNamespace(message=SimpleNamespace(content="It is 4."), finish_reason="stop")
        return SimpleNamespace(choices=[choice], usage=SimpleNamespace(completion_tokens=10))


class RefusingClient(MockClient):
    """Client that refuses every reasoning effort"""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def create(self, **request):
        self.errors = [self.error] if "reasoning_effort" in request else []
        return super().create(**request)


def config(**changes):
    values = {"use_reasoning": False, "use_reasoning_fallback": False, "num_of_retries": 0}
    return SimpleNamespace(**{**values, **changes})


def ask(client, cepo_config, levels=("high", "medium")):
    return llm_call_reason_effort_fallback(client, {"model": "model"}, list(levels), cepo_config)


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Seconds of the waits, which are not waited"""
    seconds = []
    monkeypatch.setattr(cepo.time, "sleep", seconds.append)
    return seconds


@pytest.mark.parametrize("error", RETRIED, ids=names(RETRIED))
def test_an_error_is_retried(error, waits):
    client = MockClient(error, error)
    assert llm_call(client, {"model": "model"}, config(num_of_retries=2)) == ("It is 4.", "stop", 10)
    assert len(client.calls) == 3
    assert len(waits) == 2
    assert waits[0] < waits[1]


@pytest.mark.parametrize("error", RETRIED, ids=names(RETRIED))
def test_an_error_that_stays_is_a_lost_call(error):
    client = MockClient(error, error)
    assert ask(client, config(num_of_retries=1)) == (None, "error", 0)
    assert len(client.calls) == 2


@pytest.mark.parametrize("error", LASTING, ids=names(LASTING))
def test_what_no_call_can_survive_is_raised_at_once(error):
    client = MockClient(error)
    with pytest.raises(type(error)):
        ask(client, config(num_of_retries=2))
    assert len(client.calls) == 1


@pytest.mark.parametrize("error", REFUSALS, ids=names(REFUSALS))
def test_a_refused_reasoning_effort_is_left_out(error, waits):
    client = RefusingClient(error)
    cepo_config = config(use_reasoning=True, num_of_retries=2)
    assert ask(client, cepo_config) == ("It is 4.", "stop", 10)
    assert [call.get("reasoning_effort") for call in client.calls] == ["high", None]
    assert waits == []
    ask(client, cepo_config)
    assert len(client.calls) == 3  # the next one is not tried with it


@pytest.mark.parametrize("error", REFUSALS, ids=names(REFUSALS))
def test_lower_reasoning_efforts_come_first(error):
    client = RefusingClient(error)
    assert ask(client, config(use_reasoning=True, use_reasoning_fallback=True))[1] == "stop"
    assert [call.get("reasoning_effort") for call in client.calls] == ["high", "medium", None]


def test_a_bad_request_without_a_reasoning_effort_is_no_refusal():
    client = MockClient(REFUSALS[0])
    assert ask(client, config()) == (None, "error", 0)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
