"""Recognize what a call is for, by the shape of its messages and the answers that it quotes.

OptiLLM's loop sends a system prompt, even an empty one, and appends a switch to its prompts. Other clients may omit the
system prompt, send earlier turns and omit the switch. So only the last user message is read, and of its wording only
the words that a reader of the reply depends on, or one or two words that identify the step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from statistical_model.questions import SimQuestion, find_question
from statistical_model.texts import read_answer

Messages = Sequence[Mapping[str, Any]]
"""A conversation as the API takes it: `role` and `content`, the content a text or None."""

_QUOTED = re.compile(r"\bResponse \d+:")
_PLAN = re.compile(r"\bplan\b[^?]{0,200}\bnot provide\b", re.DOTALL)
_APPROACHES = re.compile(r"\bpropose (\d+)\b")


class CallKind(str, Enum):
    """What a call is for."""

    APPROACHES = "approaches"
    PLAN = "plan"
    EXECUTE = "execute"
    REVIEW = "review"
    FINAL = "final"
    DIRECT = "direct"
    RATING = "rating"
    COMPARISON = "comparison"


@dataclass(frozen=True)
class ModelCall:
    """One call to the model.

    `quoted` are the answers in the replies that it quotes, in order; None for a reply without one. `approaches` is the
    number of approaches that it requests.
    """

    kind: CallKind
    question: SimQuestion
    quoted: tuple[str | None, ...] = ()
    approaches: int = 0


def recognize_call(messages: Messages) -> ModelCall | None:
    """Return the call, or None if no user message contains a question's tag. Raise ValueError for an invalid tag.

    1. It explains how to state a better response: a comparison; a rating: a rating; `approach_1`: approaches.
    2. The tag is in an earlier turn: that turn requested a plan, so this one requests its execution.
    3. It numbers the replies that it quotes: a review. It mentions "my final solution": the final answer.
    4. It requests a plan without the answer: a plan.
    5. It quotes an answer: the final answer. Otherwise it is the question itself.
    """
    texts = [message.get("content") or "" for message in messages if message["role"] == "user"]
    text = texts[-1] if texts else ""
    question = find_question(text)
    if question is None:
        earlier = next((found for turn in reversed(texts[:-1]) if (found := find_question(turn))), None)
        return ModelCall(CallKind.EXECUTE, earlier) if earlier else None
    if "Better Response: [[" in text:
        return ModelCall(CallKind.COMPARISON, question, _numbered(text, question)[:2])
    if "Rating: [[" in text:
        return ModelCall(CallKind.RATING, question, (read_answer(text, question.id),))
    if "approach_1" in text:
        number = _APPROACHES.search(text)
        return ModelCall(CallKind.APPROACHES, question, approaches=int(number[1]) if number else 3)
    quoted = _numbered(text, question)
    if quoted:
        return ModelCall(CallKind.REVIEW, question, quoted)
    answer = read_answer(text, question.id)
    if "my final solution" in text:
        return ModelCall(CallKind.FINAL, question, (answer,))
    if _PLAN.search(text):
        return ModelCall(CallKind.PLAN, question)
    return ModelCall(CallKind.DIRECT, question) if answer is None else ModelCall(CallKind.FINAL, question, (answer,))


def _numbered(text: str, question: SimQuestion) -> tuple[str | None, ...]:
    """Return the answer of each numbered reply that a text quotes."""
    return tuple(read_answer(part, question.id) for part in _QUOTED.split(text)[1:])
