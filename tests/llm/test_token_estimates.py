"""Estimates of prompt tokens: cautious at first, right after some replies, and robust against single outliers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.chat import ChatRequest, Label, Message, RawMessage, Step
from optillm_cerebras_cepo.llm.context_window import DEFAULT_RATIO, KNOWN, MODELS, WINDOW, TokenEstimates


def request(*texts: str, model: str = "m", options: Mapping[str, Any] | None = None) -> ChatRequest:
    """A request of these messages."""
    messages = tuple(Message("user", text) for text in texts)
    return ChatRequest(model, messages, 10, Label(Step.PLAN), options=options or {})


def raw(content: Any, **fields: Any) -> ChatRequest:
    """A request of one message as a client sent it."""
    return ChatRequest("m", (RawMessage({"role": "user", "content": content, **fields}),), 10, Label(Step.DIRECT))


LONG = request("x" * 7000)


def test_unknown_model_has_a_cautious_estimate() -> None:
    """Rather too many tokens, with some for the frames around the messages."""
    assert 7000 / DEFAULT_RATIO <= TokenEstimates().prompt_tokens(LONG) <= 7000 / DEFAULT_RATIO + 10
    assert TokenEstimates().prompt_tokens(request("", "", "")) > TokenEstimates().prompt_tokens(request(""))


def test_chinese_text_has_about_one_token_a_character() -> None:
    """As tokenizers have it."""
    assert TokenEstimates().prompt_tokens(request("六" * 1000)) == pytest.approx(1000, rel=0.3)


@given(st.lists(st.text(), max_size=5), st.booleans())
def test_texts_and_messages_have_the_same_estimate(texts: list[str], learnt: bool) -> None:
    """Of any script, and with what was learned: plans and calls are counted in the same way."""
    estimates = TokenEstimates()
    for _ in range(KNOWN if learnt else 0):
        estimates.record(LONG, 3000)
    assert estimates.prompt_tokens_of_texts("m", texts) == estimates.prompt_tokens(request(*texts))


def test_tools_and_formats_are_not_escaped() -> None:
    """A Chinese character is three bytes there as well, not an escape sequence of six."""
    described = {"tools": [{"function": {"description": "六" * 1000}}]}
    assert TokenEstimates().prompt_tokens(request("", options=described)) == pytest.approx(1000, rel=0.3)
    assert TokenEstimates().prompt_tokens(raw(None, tool_calls=[{"arguments": "六" * 1000}])) == pytest.approx(
        1000, rel=0.3
    )


def test_ratio_is_learned_from_the_api() -> None:
    """Within a few replies, for this model only."""
    estimates = TokenEstimates()
    for _ in range(KNOWN):
        estimates.record(LONG, 1408)
    assert estimates.prompt_tokens(LONG) == pytest.approx(1408, abs=1)
    other = request("x" * 7000, model="other")
    assert estimates.prompt_tokens(other) == TokenEstimates().prompt_tokens(other)


@given(st.floats(2.0, 6.0), st.lists(st.integers(0, 10**9), max_size=WINDOW // 25))
def test_single_wrong_counts_have_no_effect(ratio: float, wrong: list[int]) -> None:
    """A gateway's own usage or a cached prompt: most replies agree."""
    estimates = TokenEstimates()
    for _ in range(WINDOW // 2):
        estimates.record(LONG, round(7000 / ratio))
    for tokens in wrong:
        estimates.record(LONG, tokens)
    assert estimates.prompt_tokens(LONG) == pytest.approx(7000 / ratio, rel=0.02, abs=12)


def test_ratio_is_that_of_dense_texts() -> None:
    """An estimate that is too low costs a refusal, one that is too high only some room."""
    estimates = TokenEstimates()
    for number in range(100):
        estimates.record(LONG, 2000 if number % 4 else 2500)
    assert estimates.prompt_tokens(LONG) == pytest.approx(2500, rel=0.01)


def test_pictures_count_and_are_not_learned_from() -> None:
    """Only the API knows how many tokens a picture has."""
    picture = {"type": "image_url", "image_url": {"url": "data:" + "A" * 1_000_000}}
    shown = raw([{"type": "text", "text": "x" * 7000}, picture])
    estimates = TokenEstimates()
    assert estimates.prompt_tokens(LONG) < estimates.prompt_tokens(shown) < 2 * estimates.prompt_tokens(LONG)
    for _ in range(KNOWN):
        estimates.record(shown, 7000)
    assert estimates.prompt_tokens(LONG) == TokenEstimates().prompt_tokens(LONG)


def test_tools_and_tool_calls_are_part_of_the_prompt() -> None:
    """Options that the model does not read are not."""
    estimates = TokenEstimates()
    plain = estimates.prompt_tokens(request("x"))
    assert (
        estimates.prompt_tokens(request("x", options={"tools": [{"function": {"description": "d" * 3500}}]}))
        > plain + 1000
    )
    assert estimates.prompt_tokens(request("x", options={"user": "d" * 3500})) == plain
    assert estimates.prompt_tokens(raw(None, tool_calls=[{"function": {"arguments": "d" * 3500}}])) > plain + 1000


@pytest.mark.parametrize("content", [None, "\ud800", [5, None, {"text": 7}], {"a": 1}, 7])
def test_content_of_any_kind_is_measured(content: Any) -> None:
    """The API says what is wrong with it."""
    assert TokenEstimates().prompt_tokens(raw(content)) > 0


def test_number_of_models_is_bounded() -> None:
    """Clients can send any name."""
    estimates = TokenEstimates()
    for number in range(MODELS + 5):
        for _ in range(KNOWN):
            estimates.record(request("x" * 7000, model=str(number)), 1408)
    first, last = (request("x" * 7000, model=name) for name in ("0", str(MODELS)))
    assert estimates.prompt_tokens(last) == pytest.approx(1408, abs=1)
    assert estimates.prompt_tokens(first) == TokenEstimates().prompt_tokens(first)
