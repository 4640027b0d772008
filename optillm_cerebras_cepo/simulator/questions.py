"""A question for the statistical mode: it carries in its own text what a simulated model makes of it.

The tag `[[sim id=17 p=0.62 answer=42 k=4 q=0.35]]` may stand anywhere in a question. Prompts quote questions, so the
tag reaches the simulator inside every prompt that is about one, whoever wrote the prompt.
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
    r"""What a simulated model makes of one question. Raises ValueError for values that cannot work.

    Attributes:
        id: a word; questions of one id are one question, and have their own random draws.
        p: 0..1, how probable it is that one sample (a plan carried out, or a direct answer) is right.
        answer: the right answer, a whole number or a letter A to Z.
        k: how many wrong answers there are: the k numbers above the right one, or the k letters after it (Z, then A).
        q: 0..1, the share of the wrong samples that give the first of them, the strong one; the others share the rest
            evenly. None: the same for all, 1/k.
        rho: 0..1, the correlation between samples. Replies to the same prompt are independent draws, which is 0. Above
            it a question has a mood, one answer drawn as a sample is; each sample repeats it with probability √rho and
            is a draw of its own otherwise. So p stays p, and over many questions alike it correlates by rho whether
            one sample gives some answer and whether another one does.
        level: a word to group by; nothing is made of it.

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
        """The machine-readable form; fields at their defaults are left out."""
        given = {name: getattr(self, name) for name in _FIELDS}
        shown = [
            f"{name}={value}"
            for name, value in given.items()
            if value not in (None, "") and (name, value) != ("rho", 0)
        ]
        return _OPENING + " ".join(shown) + "]]"

    @property
    def text(self) -> str:
        """A question that a client can ask."""
        return f"What is the value behind this simulated question? {self.tag}"

    @cached_property
    def wrong(self) -> tuple[str, ...]:
        """The k wrong answers, the strong one first."""
        if self.answer.isalpha():
            start = string.ascii_uppercase.index(self.answer)
            return tuple(string.ascii_uppercase[(start + step) % 26] for step in range(1, self.k + 1))
        return tuple(str(int(self.answer) + step) for step in range(1, self.k + 1))

    @cached_property
    def chances(self) -> Mapping[str, float]:
        """The probability of each answer in one sample; they add up to 1."""
        strong = 1.0 if self.k == 1 else 1 / self.k if self.q is None else self.q
        shares = [strong] + [(1 - strong) / (self.k - 1)] * (self.k - 1) if self.k > 1 else [1.0]
        return {self.answer: self.p} | {
            answer: (1 - self.p) * share for answer, share in zip(self.wrong, shares, strict=True)
        }

    @property
    def misleading(self) -> bool:
        """Whether some wrong answer is more probable than the right one, so that a vote of many goes wrong."""
        return max(self.chances[answer] for answer in self.wrong) > self.p

    def draw(self, source: random.Random) -> str:
        """One sample's answer, without regard to a mood."""
        return source.choices(list(self.chances), list(self.chances.values()))[0]


def find_question(text: str) -> SimQuestion | None:
    """The question of the last tag in a text, or None. Raises ValueError that says what is wrong with the tag."""
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
