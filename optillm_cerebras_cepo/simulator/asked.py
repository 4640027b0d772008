"""What a call asks for: told by the shape of its messages and by the answers that it quotes, not by who sends it.

OptiLLM's own loop puts a system prompt in front, if only an empty one, and appends a switch to the prompts; another
client may leave the system prompt out, put earlier turns in front and drop the switch. So only the last message from
the user is looked at, and of its wording only what a reader of the reply depends on, or a word or two that tell it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .questions import SimQuestion, find_question
from .wording import read_answer

Messages = Sequence[Mapping[str, Any]]
"""A conversation as the API takes it: `role` and `content`, the content a text (or None)."""

_QUOTED = re.compile(r"\bResponse \d+:")
_PLAN = re.compile(r"\bplan\b[^?]{0,200}\bnot provide\b", re.DOTALL)
_WANTED = re.compile(r"\bpropose (\d+)\b")


class Kind(str, Enum):
    """The kinds of call."""

    APPROACHES = "approaches"
    PLAN = "plan"
    EXECUTE = "execute"
    REVIEW = "review"
    FINAL = "final"
    DIRECT = "direct"
    RATING = "rating"
    COMPARISON = "comparison"


@dataclass(frozen=True)
class Asked:
    """One call's kind and question.

    `shown` are the answers of the replies that it quotes, in their order, None for a reply without one. `wanted` is how
    many approaches are to be proposed.
    """

    kind: Kind
    question: SimQuestion
    shown: tuple[str | None, ...] = ()
    wanted: int = 0


def read_call(messages: Messages) -> Asked | None:
    """What is asked, or None when no message of the user's carries a question's tag. Raises ValueError for a bad tag.

    1. It says how to give a better response: a comparison; a rating: a rating; `approach_1`: approaches.
    2. The tag is in an earlier turn: that turn asked for a plan, this one has it executed (or goes on talking).
    3. It numbers the replies that it quotes: a review. It calls one its final solution: the final answer.
    4. It wants a plan without the answer: a plan.
    5. It quotes answers all the same: several are reviewed, one is repeated. Else it is the question itself.
    """
    said = [message.get("content") or "" for message in messages if message["role"] == "user"]
    text = said[-1] if said else ""
    question = find_question(text)
    if question is None:
        earlier = next((found for turn in reversed(said[:-1]) if (found := find_question(turn))), None)
        return Asked(Kind.EXECUTE, earlier) if earlier else None
    if "Better Response: [[" in text:
        return Asked(Kind.COMPARISON, question, _numbered(text, question)[:2])
    if "Rating: [[" in text:
        return Asked(Kind.RATING, question, (read_answer(text, question.id),))
    if "approach_1" in text:
        wanted = _WANTED.search(text)
        return Asked(Kind.APPROACHES, question, wanted=int(wanted[1]) if wanted else 3)
    shown = _numbered(text, question)
    if shown:
        return Asked(Kind.REVIEW, question, shown)
    answer = read_answer(text, question.id)
    if "my final solution" in text:
        return Asked(Kind.FINAL, question, (answer,))
    if _PLAN.search(text):
        return Asked(Kind.PLAN, question)
    return Asked(Kind.DIRECT, question) if answer is None else Asked(Kind.FINAL, question, (answer,))


def _numbered(text: str, question: SimQuestion) -> tuple[str | None, ...]:
    """The answer of each numbered reply that a text quotes."""
    return tuple(read_answer(part, question.id) for part in _QUOTED.split(text)[1:])
