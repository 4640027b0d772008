"""Estimates of prompts' tokens: cautious at first, right after some replies, and not misled by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.chat import ChatRequest, Label, Message, RawMessage, Step
from optillm_cerebras_cepo.llm.estimate import AT_FIRST, KNOWN, MODELS, WINDOW, Estimates


def request(*texts: str, model: str = "m", options: Mapping[str, Any] | None = None) -> ChatRequest:
    """A request of these messages."""
    messages = tuple(Message("user", text) for text in texts)
    return ChatRequest(model, messages, 10, Label(Step.PLAN), options=options or {})


def raw(content: Any, **fields: Any) -> ChatRequest:
    """A request of one message as a client sent it."""
    return ChatRequest("m", (RawMessage({"role": "user", "content": content, **fields}),), 10, Label(Step.DIRECT))


LONG = request("x" * 7000)


def test_a_model_that_nothing_is_known_of_gets_a_cautious_estimate() -> None:
    """Rather more tokens than the text has, with something for the frame around the messages."""
    assert 7000 / AT_FIRST <= Estimates().of(LONG) <= 7000 / AT_FIRST + 10
    assert Estimates().of(request("", "", "")) > Estimates().of(request(""))


def test_text_of_another_script_has_more_tokens_a_character() -> None:
    """About one for each Chinese character, as tokenizers have it."""
    assert Estimates().of(request("六" * 1000)) == pytest.approx(1000, rel=0.3)


@given(st.lists(st.text(), max_size=5), st.booleans())
def test_texts_have_the_tokens_of_a_request_with_these_messages(texts: list[str], learnt: bool) -> None:
    """Of any script, and by what was learnt: what is planned is what is counted when the call is made."""
    estimates = Estimates()
    for _ in range(KNOWN if learnt else 0):
        estimates.learn(LONG, 3000)
    assert estimates.of_texts("m", texts) == estimates.of(request(*texts))


def test_tools_and_formats_of_another_script_count_as_it_is_read() -> None:
    """A Chinese character is three bytes there, too, and no escape sequence of six."""
    described = {"tools": [{"function": {"description": "六" * 1000}}]}
    assert Estimates().of(request("", options=described)) == pytest.approx(1000, rel=0.3)
    assert Estimates().of(raw(None, tool_calls=[{"arguments": "六" * 1000}])) == pytest.approx(1000, rel=0.3)


def test_it_learns_what_the_api_counts() -> None:
    """Within a few replies, for this model only."""
    estimates = Estimates()
    for _ in range(KNOWN):
        estimates.learn(LONG, 1408)
    assert estimates.of(LONG) == pytest.approx(1408, abs=1)
    other = request("x" * 7000, model="other")
    assert estimates.of(other) == Estimates().of(other)


@given(st.floats(2.0, 6.0), st.lists(st.integers(0, 10**9), max_size=WINDOW // 25))
def test_single_wrong_counts_do_not_mislead_it(ratio: float, wrong: list[int]) -> None:
    """A gateway's own idea of usage, a prompt that was cached: whatever else it says, most replies say the same."""
    estimates = Estimates()
    for _ in range(WINDOW // 2):
        estimates.learn(LONG, round(7000 / ratio))
    for tokens in wrong:
        estimates.learn(LONG, tokens)
    assert estimates.of(LONG) == pytest.approx(7000 / ratio, rel=0.02, abs=12)


def test_it_takes_the_denser_of_the_texts_that_it_has_seen() -> None:
    """An estimate that is too low costs a refusal, one that is too high a little room."""
    estimates = Estimates()
    for number in range(100):
        estimates.learn(LONG, 2000 if number % 4 else 2500)
    assert estimates.of(LONG) == pytest.approx(2500, rel=0.01)


def test_pictures_count_and_teach_nothing() -> None:
    """Their bytes are not the model's; how many tokens one has, the API alone knows."""
    picture = {"type": "image_url", "image_url": {"url": "data:" + "A" * 1_000_000}}
    shown = raw([{"type": "text", "text": "x" * 7000}, picture])
    estimates = Estimates()
    assert estimates.of(LONG) < estimates.of(shown) < 2 * estimates.of(LONG)
    for _ in range(KNOWN):
        estimates.learn(shown, 7000)
    assert estimates.of(LONG) == Estimates().of(LONG)


def test_tools_and_their_calls_are_part_of_the_prompt() -> None:
    """The model reads them; what goes out beside the prompt is none of it."""
    estimates = Estimates()
    plain = estimates.of(request("x"))
    assert estimates.of(request("x", options={"tools": [{"function": {"description": "d" * 3500}}]})) > plain + 1000
    assert estimates.of(request("x", options={"user": "d" * 3500})) == plain
    assert estimates.of(raw(None, tool_calls=[{"function": {"arguments": "d" * 3500}}])) > plain + 1000


@pytest.mark.parametrize("content", [None, "\ud800", [5, None, {"text": 7}], {"a": 1}, 7])
def test_content_of_any_kind_is_measured(content: Any) -> None:
    """What is wrong with it, the API says."""
    assert Estimates().of(raw(content)) > 0


def test_it_does_not_grow_without_end() -> None:
    """Whatever names clients make up."""
    estimates = Estimates()
    for number in range(MODELS + 5):
        for _ in range(KNOWN):
            estimates.learn(request("x" * 7000, model=str(number)), 1408)
    first, last = (request("x" * 7000, model=name) for name in ("0", str(MODELS)))
    assert estimates.of(last) == pytest.approx(1408, abs=1)
    assert estimates.of(first) == Estimates().of(first)
