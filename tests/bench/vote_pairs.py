"""Labelled pairs of replies: those of a file, or the suite's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from support.answer_notations import KINDS
from support.answer_sets import answer_sets

REAL_REPLIES = "models' replies"
# Groups of sources, by the beginning of their names; the first that fits counts.
GROUPS = {
    "peers' test suites": ("math-verify", "peer unit", "OlympiadBench", "lighteval", "pairs reported", "xVerify"),
    "gold answers, altered": ("gold answers altered",),
    "gold answers, retyped": ("gold answers retyped", "MATH-500"),
    REAL_REPLIES: ("Qwen2.5", "MMLU-Pro", "NeMo"),
    "open questions": ("EVOUNA", "NQ301"),
    "hand-written, hard": ("hand-written",),
    "probes": ("probes",),
}
OWN = "own sets"


@dataclass(frozen=True)
class Pair:
    """Two replies to a question, and whether they give the same answer."""

    question: str
    a: str
    b: str
    same: bool
    source: str

    @property
    def group(self) -> str:
        """The group of its source."""
        return next((name for name, starts in GROUPS.items() if self.source.startswith(starts)), OWN)


def read_pairs(path: Path) -> list[Pair]:
    """Return the pairs of a file."""
    return [Pair(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def own_pairs() -> list[Pair]:
    """Return pairs from the suite's own sets of answers: right ones are the same, a right and a wrong one are not."""
    found = []
    for kind in KINDS:
        for it in answer_sets(kind, 20, seed=7):
            for one, other in combinations(range(len(it.answers)), 2):
                if (one in it.right) or (other in it.right):
                    same = one in it.right and other in it.right
                    found.append(Pair(it.question, it.answers[one], it.answers[other], same, f"own: {kind}"))
    return found
