"""Populations of questions with a known mix of levels."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from statistical_model.questions import SimQuestion


@dataclass(frozen=True)
class Mix:
    """Shares of the levels in a population, at least 0; they are scaled to a sum of 1. All values are assumptions.

    - easy: p from 0.85 to 0.99, four wrong answers with equal shares.
    - medium: p from 0.55 to 0.85, four wrong answers, the first with a share of 0.25 to 0.6.
    - hard: p from 0.25 to 0.55, eight wrong answers with equal shares: a vote over many samples is right.
    - misleading: p from 0.15 to 0.4, four wrong answers, the first with a share of 0.75 to 0.95, so that it is more
      probable than the right one: a vote over many samples is worse than one sample.

    `rho` is the correlation between samples of every question.
    """

    easy: float = 0.4
    medium: float = 0.3
    hard: float = 0.2
    misleading: float = 0.1
    rho: float = 0.0

    def __post_init__(self) -> None:
        if min(self.shares.values()) < 0 or not sum(self.shares.values()) > 0:
            raise ValueError(f"the shares of a mix must not be negative, nor all 0: {self.shares}")
        if not 0 <= self.rho <= 1:
            raise ValueError(f"rho must be from 0 to 1, not {self.rho}")

    @property
    def shares(self) -> dict[str, float]:
        """The share of each level, unscaled."""
        return {"easy": self.easy, "medium": self.medium, "hard": self.hard, "misleading": self.misleading}


def population(n: int, seed: int = 0, mix: Mix | None = None) -> list[SimQuestion]:
    """Return `n` questions in random order with the mix's number of each level, rounded to whole numbers.

    The same arguments give the same questions; their ids start with the seed. `question.text` is the text to ask,
    `question.answer` the right answer.
    """
    mix = mix or Mix()
    source = random.Random(f"population {seed}")
    levels = [level for level, count in _counts(n, mix).items() for _ in range(count)]
    source.shuffle(levels)
    return [_LEVELS[level](f"{seed}-{number}", mix.rho, source) for number, level in enumerate(levels, 1)]


def _counts(n: int, mix: Mix) -> dict[str, int]:
    """Return whole numbers with the sum n: rounded down, the rest goes to the largest remainders."""
    total = sum(mix.shares.values())
    exact = {level: n * share / total for level, share in mix.shares.items()}
    counts = {level: int(value) for level, value in exact.items()}
    for level in sorted(exact, key=lambda level: counts[level] - exact[level])[: n - sum(counts.values())]:
        counts[level] += 1
    return counts


def _level(level: str, p: tuple[float, float], k: int, q: tuple[float, float]) -> Callable[..., SimQuestion]:
    def make(name: str, rho: float, source: random.Random) -> SimQuestion:
        chance, first = (round(source.uniform(*bounds), 3) for bounds in (p, q))
        return SimQuestion(name, chance, str(source.randrange(10, 1000)), k, first, rho, level)

    return make


_LEVELS = {
    "easy": _level("easy", (0.85, 0.99), 4, (0.25, 0.25)),
    "medium": _level("medium", (0.55, 0.85), 4, (0.25, 0.6)),
    "hard": _level("hard", (0.25, 0.55), 8, (0.125, 0.125)),
    "misleading": _level("misleading", (0.15, 0.4), 4, (0.75, 0.95)),
}
