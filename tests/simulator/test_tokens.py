from __future__ import annotations

from typing import Any

import pytest
from cerebras.cloud.sdk import BadRequestError
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.simulator import Rule, tokens
from simulator.conftest import Client, Start


@given(st.text(max_size=200), st.integers(min_value=0, max_value=60))
def test_cut_text_has_at_most_that_many_tokens(text: str, limit: int) -> None:
    """Cutting and counting are consistent, so usage never exceeds the limit."""
    assert tokens.count(tokens.cut(text, limit)) == min(limit, tokens.count(text))


def test_usage_follows_the_estimate(shared: Client) -> None:
    """A quarter of the characters, four per message, three per prompt."""
    usage = shared.create("x" * 41).usage
    assert usage.prompt_tokens == 3 + 4 + 11
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_parts_tools_and_reasoning_count(shared: Client) -> None:
    """All input costs input tokens."""
    plain = shared.create().usage.prompt_tokens
    parts = [{"type": "text", "text": "he"}, {"type": "text", "text": "llo"}]
    assert shared.create(messages=[{"role": "user", "content": parts}]).usage.prompt_tokens == plain
    tools = [{"type": "function", "function": {"name": "f" * 40}}]
    assert shared.create(tools=tools).usage.prompt_tokens >= plain + 10
    thought = {"role": "assistant", "content": "a", "reasoning": "r" * 400}
    bare = {"role": "assistant", "content": "a"}
    longer = shared.create(messages=[thought]).usage.prompt_tokens - shared.create(messages=[bare]).usage.prompt_tokens
    assert longer == 100


def test_output_limit_cuts_the_answer(started: Start) -> None:
    """max_completion_tokens and max_tokens cut the text and set finish_reason."""
    client = started(rules=(Rule(text="abcd" * 10),))
    for name in ("max_completion_tokens", "max_tokens"):
        limit: dict[str, Any] = {name: 3}
        cut = client.create(**limit)
        assert (cut.choices[0].message.content, cut.choices[0].finish_reason) == ("abcd" * 3, "length")
        assert cut.usage.completion_tokens == 3
    whole = client.create(max_completion_tokens=10)
    assert (whole.choices[0].finish_reason, whole.usage.completion_tokens) == ("stop", 10)


def test_model_maximum_cuts_the_answer(started: Start) -> None:
    """It applies to requests without a limit."""
    client = started(rules=(Rule(text="abcd" * 9_000),))
    answer = client.create(model="llama3.1-8b")
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 8_192)


def test_context_limit_includes_input_and_output_limit(started: Start) -> None:
    """The recorded text with both numbers; one token less is accepted."""
    client = started(tier="free")
    fits = 8_192 - 1_000 - 7
    assert client.create("x" * 4 * fits, model="llama3.1-8b", max_completion_tokens=1_000)
    with pytest.raises(BadRequestError) as caught:
        client.create("x" * 4 * fits + "y", model="llama3.1-8b", max_completion_tokens=1_000)
    assert caught.value.body == {
        "message": "Please reduce the length of the messages or completion. Current length is 8193 while limit is 8192",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }


def test_reasoning_uses_the_limit_first(started: Start) -> None:
    """If it uses the whole limit, the content is empty and the status is 200."""
    client = started(rules=(Rule(text="answer", reasoning="r" * 400),))
    eaten = client.create(model="gpt-oss-120b", max_completion_tokens=50)
    assert (eaten.choices[0].message.content, eaten.choices[0].finish_reason) == ("", "length")
    assert eaten.usage.completion_tokens == eaten.usage.completion_tokens_details.reasoning_tokens == 50
    whole = client.create(model="gpt-oss-120b")
    assert (whole.choices[0].message.content, whole.choices[0].message.reasoning) == ("answer", "r" * 400)
    assert whole.usage.completion_tokens == 102


def test_reasoning_has_the_requested_format(started: Start) -> None:
    """Hidden, raw, off, or for a model without reasoning."""
    client = started(rules=(Rule(text="answer", reasoning="why"),))
    hidden = client.create(model="gpt-oss-120b", reasoning_format="hidden")
    assert hidden.choices[0].message.reasoning is None
    assert hidden.usage.completion_tokens_details.reasoning_tokens == 1
    raw = client.create(model="gpt-oss-120b", reasoning_format="raw")
    assert raw.choices[0].message.content == "<think>why</think>answer"
    for off in ({"reasoning_effort": "none"}, {"disable_reasoning": True}):
        usage = client.create(model="qwen-3.8-27b", **off).usage
        assert usage.completion_tokens_details.reasoning_tokens == 0
    assert client.create().choices[0].message.reasoning is None


def test_usage_details_are_for_reasoning_models(shared: Client) -> None:
    """Other models have none."""
    assert shared.create().usage.completion_tokens_details is None
    assert shared.create(model="gpt-oss-120b").usage.prompt_tokens_details.cached_tokens == 0


def test_stop_sequences_end_the_answer(started: Start) -> None:
    """The text ends before the first stop sequence."""
    client = started(rules=(Rule(text="one two three"),))
    assert client.create(stop=" three").choices[0].message.content == "one two"
    assert client.create(stop=["three", "two", ""]).choices[0].message.content == "one "
