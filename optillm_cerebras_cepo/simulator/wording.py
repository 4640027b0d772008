"""The words of a simulated reply: filler of a given length, and a last line that other calls can read back."""

from __future__ import annotations

import random
import re

from . import tokens

# No digit, no bracket and no answer in it: a reader of replies finds what it looks for in the last line only.
_SENTENCES = (
    "Let us look at what is given.",
    "The first part is simple.",
    "We take the terms one by one.",
    "This step follows from the one before.",
    "It helps to write this down.",
    "Nothing else changes here.",
    "Now the same for the other side.",
    "So much for the middle part.",
    "One quick look shows that it holds.",
    "The rest cancels.",
    "Here one has to be careful.",
    "What remains is short.",
)
_FILLER = " ".join(random.Random(0).choices(_SENTENCES, k=4_000))

_ANSWER = re.compile(r"\(question (\S+)\) The final answer is \\boxed\{([^{}]*)\}")


def answer_line(question: str, answer: str) -> str:
    """The last line of a reply that answers the question of this id.

    The id stands in it so that an earlier question's answer, quoted in a conversation, is not read as this one's.
    """
    return rf"(question {question}) The final answer is \boxed{{{answer}}}."


def read_answer(text: str, question: str) -> str | None:
    """The last answer to the question of this id in a text, or None."""
    found = [answer for owner, answer in _ANSWER.findall(text) if owner == question]
    return found[-1] if found else None


def write(length: int, ending: str, source: random.Random) -> str:
    """A text of `length` tokens with this last line, or the line alone where there is no room for more."""
    closing = f"\n\n{ending}" if ending else ""
    room = length * tokens.CHARACTERS_PER_TOKEN - len(closing)
    return filler(room, source) + closing if room > 0 else ending


def filler(characters: int, source: random.Random) -> str:
    """So many characters that say nothing, from anywhere in a long text: replies of one length differ, as real ones."""
    if characters < 2:
        return "." * characters
    text = _FILLER * (1 + characters // len(_FILLER))
    start = source.randrange(len(text) - characters + 1)
    # A client strips blanks at the ends, and the length with them.
    return f"S{text[start + 1 : start + characters - 1]}."
