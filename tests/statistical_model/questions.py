"""Questions whose text contains the probabilities of a simulated model's answers, as a tag.

The tag `[[sim id=17 p=0.62 answer=42 k=4 q=0.35]]` may be anywhere in a question. Prompts quote the question, so every
prompt about it contains the tag, whoever wrote the prompt.
"""

from __future__ import annotations

import difflib
import random
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

_OPENING = "[[sim "
_WORD = re.compile(r"[^\s\[\]{}=]+")
_NUMBERS = {"p": float, "q": float, "rho": float, "k": int}
_FIELDS = ("id", "p", "answer", "k", "q", "rho", "level")


@dataclass(frozen=True)
class SimQuestion:
    r"""One question and the probabilities of a simulated model's answers to it. Raise ValueError for invalid values.

    Attributes:
        id: a word; questions with the same id are the same question and share their random draws.
        p: 0 to 1, the probability that one sample (an executed plan or a direct answer) is right.
        answer: the right answer, a whole number or a letter A to Z.
        k: the number of wrong answers: the k numbers above the right one, or the k letters after it (A follows Z).
        q: 0 to 1, the share of wrong samples that give the first wrong answer; the others share the rest evenly. None:
            the same share for all, 1/k.
        rho: 0 to 1, the correlation between samples; 0 means independent draws. Above 0 one shared answer is drawn for
            the question; each sample repeats it with probability √rho and is an independent draw otherwise. So p stays
            the same, and over many such questions the events "this sample gives answer x" and "another sample gives
            answer x" correlate with rho.
        level: a word to group results by; it has no other effect.

    """

    id: str
    p: float
    answer: str
    k: int = 4
    q: float | None = None
    rho: float = 0.0
    level: str = ""

    def __post_init__(self) -> None:
        for name in ("p", "q", "rho"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {value}")
        letter = len(self.answer) == 1 and self.answer in string.ascii_uppercase
        if not letter and not re.fullmatch(r"-?[0-9]{1,300}", self.answer):
            raise ValueError(f"answer must be a whole number or a letter A to Z, not {self.answer!r}")
        most = 25 if letter else 100
        if not 1 <= self.k <= most:
            raise ValueError(f"k must be from 1 to {most}, not {self.k}")
        for name, word in (("id", self.id), ("level", self.level or "-")):
            if not _WORD.fullmatch(word):
                raise ValueError(f"{name} must be one word without brackets and =, not {word!r}")

    @property
    def tag(self) -> str:
        """The machine-readable form; fields with default values are omitted."""
        given = {name: getattr(self, name) for name in _FIELDS}
        shown = [
            f"{name}={value}"
            for name, value in given.items()
            if value not in (None, "") and (name, value) != ("rho", 0)
        ]
        return _OPENING + " ".join(shown) + "]]"

    @property
    def text(self) -> str:
        """The question as a client asks it."""
        return f"What is the value behind this simulated question? {self.tag}"

    @cached_property
    def wrong(self) -> tuple[str, ...]:
        """The k wrong answers; the first one has the share q."""
        if self.answer.isalpha():
            start = string.ascii_uppercase.index(self.answer)
            return tuple(string.ascii_uppercase[(start + step) % 26] for step in range(1, self.k + 1))
        return tuple(str(int(self.answer) + step) for step in range(1, self.k + 1))

    @cached_property
    def chances(self) -> Mapping[str, float]:
        """The probability of each answer in one sample; the sum is 1."""
        first = 1.0 if self.k == 1 else 1 / self.k if self.q is None else self.q
        shares = [first] + [(1 - first) / (self.k - 1)] * (self.k - 1) if self.k > 1 else [1.0]
        return {self.answer: self.p} | {
            answer: (1 - self.p) * share for answer, share in zip(self.wrong, shares, strict=True)
        }

    @property
    def misleading(self) -> bool:
        """Whether a wrong answer is more probable than the right one, so that a vote over many samples is wrong."""
        return max(self.chances[answer] for answer in self.wrong) > self.p

    def draw(self, source: random.Random) -> str:
        """Return the answer of one independent sample."""
        return source.choices(list(self.chances), list(self.chances.values()))[0]


def find_question(text: str) -> SimQuestion | None:
    """Return the question of the last tag in a text, or None. Raise ValueError for an invalid tag."""
    start = text.rfind(_OPENING)
    end = text.find("]]", start)
    return None if start < 0 or end < 0 else _parse(text[start + len(_OPENING) : end])


@lru_cache(maxsize=4096)
def _parse(fields: str) -> SimQuestion:
    found: dict[str, str] = {}
    for pair in fields.split():
        name, _, value = pair.partition("=")
        if name not in _FIELDS:
            close = difflib.get_close_matches(name, _FIELDS, n=1)
            raise ValueError(
                f"sim tag: unknown field {name!r}; "
                + (f"did you mean {close[0]!r}?" if close else f"known: {', '.join(_FIELDS)}")
            )
        found[name] = value
    missing = [name for name in ("id", "p", "answer") if name not in found]
    if missing:
        raise ValueError(f"sim tag: {', '.join(missing)} must be given")
    values: dict[str, str | float] = dict(found)
    try:
        values |= {name: convert(found[name]) for name, convert in _NUMBERS.items() if name in found}
        return SimQuestion(**values)  # type: ignore[arg-type] # each has the type of its field
    except ValueError as error:
        raise ValueError(f"sim tag: {error}") from None
