"""What OptiLLM's own `cepo` does with a client's parameters: the last column of the table in docs/api.md.

Through OptiLLM's real app, with its packaged configuration but for the numbers and its reasoning, which no
`llama-3.3-70b` takes. What is pinned here is the same in all versions of OptiLLM that the package supports.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from optillm_cerebras_cepo.simulator.answers import Rule, ToolUse
from optillm_cerebras_cepo.simulator.problems import Reply

TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
USER = {"role": "user", "content": "Why?"}


@pytest.mark.parametrize(
    "body",
    [
        {"temperature": 1.5},
        {"top_p": 0.25},
        {"stop": ["END"]},
        {"seed": 7},
        {"user": "u"},
        {"frequency_penalty": 1},
        {"presence_penalty": 1},
        {"logit_bias": {"1": 5}},
        {"max_tokens": 7},
        {"max_completion_tokens": 7},
        {"response_format": {"type": "json_object"}},
        {"tools": [TOOL], "tool_choice": "required"},
        {"reasoning_effort": "high"},
        {"logprobs": True, "top_logprobs": 2},
        {"modalities": ["audio"], "audio": {}},
        {"temperature": "hot", "stop": 5, "seed": "x", "tools": "all"},
    ],
    ids=lambda body: ",".join(body),
)
def test_it_is_ignored_without_a_word(ask_cepo: Any, simulate: Any, body: dict[str, Any]) -> None:
    """No call carries it, no error names it, and the answer is the same."""
    api = simulate(rules=(Rule(tool_calls=(ToolUse("add"),)),))
    plain, given = ask_cepo(api)(), ask_cepo(api)(**body)
    assert (plain.status_code, given.status_code) == (200, 200)
    assert given.get_json()["choices"] == plain.get_json()["choices"]
    calls = [call.body for call in api.chat_calls]
    assert calls[: len(calls) // 2] == calls[len(calls) // 2 :]


def test_several_answers_are_as_many_runs(ask_cepo: Any, simulate: Any) -> None:
    """One after the other."""
    api = simulate()
    ask_cepo(api)()
    one = len(api.chat_calls)
    assert len(ask_cepo(api)(n=3).get_json()["choices"]) == 3
    assert len(api.chat_calls) == 4 * one


@pytest.mark.parametrize(("n", "status"), [(0, 200), (-1, 200), ("2", 500), (None, 500)])
def test_a_number_of_answers_that_is_none_is_no_bad_request(ask_cepo: Any, simulate: Any, n: Any, status: int) -> None:
    """No choices at all, or a trace's last line."""
    response = ask_cepo(simulate())(n=n)
    assert response.status_code == status
    assert response.get_json().get("choices", []) == []


def test_a_stream_is_silent_to_its_end_and_has_no_usage(ask_cepo: Any, simulate: Any) -> None:
    """One chunk with all of the answer, and [DONE]; `stream_options` changes nothing."""
    response = ask_cepo(simulate())(stream=True, stream_options={"include_usage": True})
    chunk, done = [event.removeprefix("data: ") for event in response.get_data(as_text=True).split("\n\n") if event]
    assert done == "[DONE]"
    assert json.loads(chunk)["choices"][0]["delta"]["content"].startswith("The simulated answer")
    assert "usage" not in json.loads(chunk)


def test_a_reply_has_no_id_and_half_a_usage(ask_cepo: Any, simulate: Any) -> None:
    """Of the usage only the tokens of the replies; what a client is charged for its prompts is not said."""
    body = ask_cepo(simulate())().get_json()
    assert "id" not in body
    assert "object" not in body
    assert set(body["usage"]) == {"completion_tokens", "completion_tokens_details"}


def test_earlier_turns_are_one_text(ask_cepo: Any, simulate: Any) -> None:
    """In each prompt, with marks for who speaks."""
    api = simulate()
    ask_cepo(api)(messages=[{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}, USER])
    assert "User: Hello\nAssistant: Hi\nUser: Why?" in str(api.chat_calls[0].body["messages"][-1]["content"])


def test_an_image_is_left_out_without_a_word(ask_cepo: Any, simulate: Any) -> None:
    """The model is asked about a picture that it is not given."""
    api = simulate()
    content = [{"type": "text", "text": "What is this?"}, IMAGE]
    assert ask_cepo(api)(messages=[{"role": "user", "content": content}]).status_code == 200
    assert "What is this?" in str(api.chat_calls[0].body)
    assert "image_url" not in str([call.body for call in api.chat_calls])


def test_a_tools_result_is_left_out_without_a_word(ask_cepo: Any, simulate: Any) -> None:
    """What the tool says never reaches the model."""
    api = simulate()
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "it is the tool's word"},
    ]
    assert ask_cepo(api)(messages=messages).status_code == 200
    assert "the tool's word" not in str([call.body for call in api.chat_calls])


@pytest.mark.parametrize("status", [401, 402, 422, 429])
def test_every_error_of_the_api_is_a_500(ask_cepo: Any, simulate: Any, status: int) -> None:
    """With a text in place of OpenAI's object; in a stream too."""
    api = simulate(rules=(Rule(reply=Reply(status, {"message": "?"})),))
    for stream in (False, True):
        response = ask_cepo(api)(stream=stream)
        assert response.status_code == 500
        assert isinstance(response.get_json()["error"], str)
