"""Records: what counts as an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.chat import Completion, Label, Step, Usage


def reply(text: str, finish_reason: str | None = "stop") -> Completion:
    """A reply with this text."""
    return Completion("m", text, finish_reason, Usage())


@pytest.mark.parametrize(
    ("text", "finish_reason", "usable"),
    [
        ("42", "stop", True),
        ("42", None, True),
        ("42", "length", False),
        ("42", "content_filter", False),
        ("", "stop", False),
        (" \n", "stop", False),
        ("<think>so</think>", "stop", False),
        ("so</think>\n", "stop", False),
        ("<think>so</think> 42", "stop", True),
    ],
)
def test_a_cut_or_empty_reply_is_not_usable(text: str, finish_reason: str | None, usable: bool) -> None:
    """An answer is whole and not empty."""
    assert reply(text, finish_reason).usable is usable


@given(st.text(), st.text())
def test_the_answer_is_what_follows_the_thoughts(thought: str, answer: str) -> None:
    """A reasoning block is not part of the answer, with its opening tag or without: templates may hold that one."""
    if "</think>" not in thought:
        assert reply(f"<think>{thought}</think>{answer}").answer == answer.strip()
        assert reply(f"{thought}</think>{answer}").answer == answer.strip()


@given(st.text())
def test_a_text_without_thoughts_is_the_answer(text: str) -> None:
    """Without a reasoning block the whole text counts."""
    if "think>" not in text:
        assert reply(text).answer == text.strip()


@given(st.text())
def test_a_reply_that_was_cut_in_its_thoughts_has_no_answer(thought: str) -> None:
    """They are not shown for one."""
    if "</think>" not in thought:
        assert reply(f" <think>{thought}", "length").answer == ""


def test_a_label_names_candidate_and_step() -> None:
    """Labels are what people read in logs and notes."""
    assert str(Label(Step.PLAN, 2)) == "candidate 2 plan"
    assert str(Label(Step.APPROACHES)) == "approaches"
