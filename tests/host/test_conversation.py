"""Messages as a question: roles stay, and what is no conversation is said to be none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.chat import Message, Question
from optillm_cerebras_cepo.errors import BadRequest
from optillm_cerebras_cepo.host.conversation import question_from, question_from_text


def test_the_last_user_turn_asks() -> None:
    """Earlier turns keep their roles, system prompts stay one."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "developer", "content": "And exact."},
        {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": "6 times 7?"}]},
    ]
    history = (Message("user", "Hello"), Message("assistant", "Hi"))
    assert question_from(messages) == Question("What is 6 times 7?", "Be brief.\n\nAnd exact.", history)


def test_a_tag_for_optillm_is_not_for_the_model() -> None:
    """OptiLLM 0.3 leaves it in the messages."""
    messages = [{"role": "user", "content": "<optillm_approach>cepo_cerebras</optillm_approach> Why?"}]
    assert question_from(messages).text == "Why?"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        ("hello", "messages"),
        ({}, "messages"),
        (["hello"], "messages[0]"),
        ([{"content": "hello"}], "messages[0].role"),
        ([{"role": "tool", "content": "42"}], "messages[0].role"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": ""}], "messages[0].content"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "user", "content": {"text": "x"}}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "messages[0].content"),
        ([{"role": "system", "content": "x"}], "messages"),
        ([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "messages"),
    ],
)
def test_what_is_no_conversation_is_refused_by_name(messages: Any, param: str) -> None:
    """400, and `param` says where."""
    with pytest.raises(BadRequest) as caught:
        question_from(messages)
    assert caught.value.param == param


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_no_json_breaks_the_reader(messages: Any) -> None:
    """A question or a BadRequest, nothing else."""
    try:
        question = question_from(messages)
    except BadRequest:
        return
    assert question.text.strip()


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("User: What is 6 times 7?", "What is 6 times 7?"),
        ("an answer of another approach", "an answer of another approach"),
        ("User: Hello\nAssistant: Hi\nUser: Why?", "User: Hello\nAssistant: Hi\nUser: Why?"),
    ],
)
def test_a_flattened_conversation_stays_delimited(text: str, question: str) -> None:
    """One turn loses its mark; several keep theirs."""
    assert question_from_text("Be brief.", text) == Question(question, "Be brief.")
