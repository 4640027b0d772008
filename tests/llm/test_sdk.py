"""The SDK as a ChatClient, over real HTTP against the simulated API."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import KEY
from support.sdk_client import Simulate, answering, connect, request

from optillm_cerebras_cepo.core import errors
from optillm_cerebras_cepo.core.chat import Usage
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.simulator.answers import Rule


def test_call_has_the_requests_fields_and_no_others(simulate: Simulate) -> None:
    """Model, messages, limit, temperature and options: no null, no stream, no effort."""
    api = simulate()
    completion = connect(api.url).complete(request(options={"top_p": 1.0}))
    assert api.chat_calls[0].body == {
        "model": "llama-3.3-70b",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "the-prompt-itself"}],
        "max_completion_tokens": 50,
        "temperature": 0.5,
        "top_p": 1.0,
    }
    assert completion.finish_reason == "stop"
    assert completion.usage == Usage(api.usage.prompt_tokens, api.usage.completion_tokens)
    assert completion.model == "llama-3.3-70b"


def test_missing_temperature_is_not_sent(simulate: Simulate) -> None:
    """The SDK sends an explicit None as null."""
    api = simulate()
    connect(api.url).complete(request(temperature=None))
    assert "temperature" not in api.chat_calls[0].body


@pytest.mark.parametrize(
    "body",
    [
        "<html>Bad gateway</html>",
        {"object": "chat.completion"},
        {"choices": {}},
        {"choices": [None]},
        {"choices": [{"message": "text"}]},
        [],
        5,
    ],
)
def test_200_without_a_completion_is_an_error(simulate: Simulate, body: Any) -> None:
    """The SDK validates nothing."""
    with pytest.raises(errors.UnusableReply):
        answering(simulate, 200, body).complete(request())


@pytest.mark.parametrize("fault", ["no_choices", "null_choices"])
def test_completion_without_choices_is_empty(simulate: Simulate, fault: Any) -> None:
    """Both shapes were observed; their tokens are counted."""
    api = simulate(rules=(Rule(fault=fault),))
    completion = connect(api.url).complete(request())
    assert completion.answer == ""
    assert completion.usage.completion_tokens == api.usage.completion_tokens > 0


def test_missing_usage_is_unknown_and_null_content_is_empty(simulate: Simulate) -> None:
    """Unknown is not zero, and a missing text is not a crash."""
    api = simulate(rules=(Rule(fault="no_usage", times=1), Rule(fault="null_content")))
    client = connect(api.url)
    assert client.complete(request()).usage == Usage(None, None)
    assert client.complete(request()).text == ""


@pytest.mark.parametrize("wrong", [7, ["a"], {"a": 1}, None])
def test_fields_of_a_wrong_type_count_as_missing(simulate: Simulate, wrong: Any) -> None:
    """A gateway may send anything under the names of a completion."""
    choice = {"message": {"content": wrong}, "finish_reason": wrong}
    body = {"choices": [choice], "model": wrong, "usage": {"prompt_tokens": "7", "completion_tokens": wrong}}
    completion = answering(simulate, 200, body).complete(request())
    assert (completion.text, completion.finish_reason, completion.model) == ("", None, "llama-3.3-70b")
    assert completion.usage == Usage(None, wrong if wrong == 7 else None)


def test_list_of_models_is_the_apis(simulate: Simulate) -> None:
    """Ids only."""
    api = simulate(models=("gpt-oss-120b", "qwen-3.8-27b"))
    assert set(connect(api.url).list_models()) == {"gpt-oss-120b", "qwen-3.8-27b"}


def test_one_client_serves_the_whole_process(simulate: Simulate) -> None:
    """One for each address and key, with its connection kept alive and without the SDK's warm-up call."""
    api, runtime = simulate(), Runtime()
    for ending in ("", "/", "/v1"):
        runtime.client(api.url.rstrip("/") + ending, KEY).complete(request())
    assert runtime.client(api.url, KEY) is runtime.client(api.url, KEY)
    assert runtime.client(api.url, KEY) is not runtime.client(api.url, "csk-other")
    assert (api.connections, api.warmings) == (1, 0)
    runtime.reset()
