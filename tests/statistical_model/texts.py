"""Texts of simulated replies: filler of a given length, and a last line with the answer, which can be read back."""

from __future__ import annotations

import dataclasses
import math
import random
import re
from dataclasses import dataclass

from optillm_cerebras_cepo.simulator.tokens import CHARACTERS_PER_TOKEN

LONGEST = 65_536
"""The largest reply, in tokens: more than the output limit of any simulated model."""

# Contains no digit, no bracket and no answer, so that a reader of a reply finds those in its last line only.
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


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of each kind of reply, lognormally distributed. The defaults are assumptions.

    `sigma` is the standard deviation of the logarithm; with 0 every reply of a kind has the mean length. Raise
    ValueError for a mean outside 1 to 65,536 or a sigma outside 0 to 3.
    """

    approaches: float = 200
    plan: float = 400
    execute: float = 400
    review: float = 400
    final: float = 400
    direct: float = 400
    rating: float = 400
    comparison: float = 400
    sigma: float = 0.4

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            lowest, highest = (0, 3) if field.name == "sigma" else (1, LONGEST)
            if not lowest <= value <= highest:
                raise ValueError(f"reply tokens: {field.name} must be from {lowest} to {highest}, not {value}")

    def draw(self, kind: str, source: random.Random) -> int:
        """Return the length of one reply of this kind, 1 to LONGEST tokens."""
        # exp(mu + sigma²/2) is the mean of a lognormal distribution.
        mu = math.log(getattr(self, kind)) - self.sigma**2 / 2
        return min(LONGEST, max(1, round(source.lognormvariate(mu, self.sigma))))


def answer_line(question: str, answer: str) -> str:
    """Return the last line of a reply that answers the question with this id.

    It contains the id, so that an earlier question's answer in the same conversation is not read as this one's.
    """
    return rf"(question {question}) The final answer is \boxed{{{answer}}}."


def read_answer(text: str, question: str) -> str | None:
    """Return the last answer in a text to the question with this id, or None."""
    found = [answer for owner, answer in _ANSWER.findall(text) if owner == question]
    return found[-1] if found else None


def write(length: int, last_line: str, source: random.Random) -> str:
    """Return a text of `length` tokens with this last line, or the line alone if it leaves no room for more."""
    closing = f"\n\n{last_line}" if last_line else ""
    room = length * CHARACTERS_PER_TOKEN - len(closing)
    return filler(room, source) + closing if room > 0 else last_line


def filler(characters: int, source: random.Random) -> str:
    """Return a meaningless text of this length, taken from a random place of a long one, so that replies differ."""
    if characters < 2:
        return "." * characters
    text = _FILLER * (1 + characters // len(_FILLER))
    start = source.randrange(len(text) - characters + 1)
    # Clients strip blanks at both ends, which would shorten the reply.
    return f"S{text[start + 1 : start + characters - 1]}."
