"""Group equal answers. No model is called.

Each reply's final answer is extracted (`extraction.py`) and compared with the others (`comparison.py`):

1. by the letters of its choices, if the question is a multiple-choice question (`multiple_choice.py`);
2. exactly, as a number with its unit or as several numbers (`notation.py`, `units.py`); otherwise as a formula, by
   math_verify (`algebra_worker.py`);
3. by its words.

The groups do not depend on the order of the answers. Equality is made transitive by comparing with one representative
of each group, the most explicit one first: "3" joins the larger of the groups "3 km" and "3 m", and never merges them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optillm_cerebras_cepo.voting.algebra_worker import equal_formulas
from optillm_cerebras_cepo.voting.comparison import Reading, SameFormula, read, same
from optillm_cerebras_cepo.voting.multiple_choice import offered

MISSES = 2  # comparisons of formulas in one vote that may run out of time; after that, formulas are not compared


@dataclass(frozen=True)
class Vote:
    """Groups of equal answers.

    Attributes:
        groups: indexes of the answers, each once; the largest group first, ties by their first index.

    """

    groups: tuple[tuple[int, ...], ...]

    @property
    def majority(self) -> tuple[int, ...]:
        """The largest group; empty when there is no answer."""
        return self.groups[0] if self.groups else ()

    @property
    def agreement(self) -> float:
        """Share of the largest group among all answers, 0 to 1; 0 when there is no answer."""
        count = sum(len(group) for group in self.groups)
        return len(self.majority) / count if count else 0.0

    @property
    def unanimous(self) -> bool:
        """Whether all answers are equal; true for a single answer."""
        return len(self.groups) == 1


def vote(question: str, answers: Sequence[str], same_formula: SameFormula = equal_formulas) -> Vote:
    """Sort answers to a question into groups of equal ones.

    Args:
        question: decides whether letters are choices, and whether a percent sign may be left out.
        answers: whole replies, of any length.
        same_formula: compares formulas; by default a child process, which is started on first use.

    Raises only what `same_formula` raises. An answer without text is a group of its own.

    """
    # OptiLLM's defect: votes_go_by_the_first_letter
    bounded = _Bounded(same_formula)
    choices = offered(question)
    readings = [read(answer, choices, bounded) for answer in answers]
    in_percent = "percent" in question.lower() or "%" in question
    alike: dict[Reading, list[int]] = {}
    for index, reading in enumerate(readings):
        alike.setdefault(reading if reading.text else Reading(f"\n{index}"), []).append(index)
    ordered = sorted(alike, key=lambda reading: (-reading.explicit, -len(alike[reading]), repr(reading)))
    groups: list[list[Reading]] = []

    def answering(members: list[Reading]) -> list[int]:
        return sorted(index for member in members for index in alike[member])

    for reading in ordered:
        groups.sort(key=lambda members: (-members[0].explicit, -len(answering(members))))
        home = next((members for members in groups if _belongs(reading, members, in_percent, bounded)), None)
        if home is None:
            groups.append([reading])
        else:
            home.append(reading)
    indexes = [tuple(answering(members)) for members in groups]
    return Vote(tuple(sorted(indexes, key=lambda members: (-len(members), members[0]))))


def group(question: str, answers: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Return the indexes of the answers in groups of equal ones, the largest first, ties by their first index."""
    return vote(question, answers).groups


def majority(question: str, answers: Sequence[str]) -> int:
    """Return the index of the first answer of the largest group. Raise ValueError if there is no answer."""
    if not answers:
        raise ValueError("a majority of no answers; there must be one at least")
    return vote(question, answers).majority[0]


def agreement(question: str, answers: Sequence[str]) -> float:
    """Return the share of the largest group among all answers, 0 to 1; 0 for no answers."""
    return vote(question, answers).agreement


def agree(question: str, answers: Sequence[str]) -> bool:
    """Return whether all answers are equal: true for one answer, false for none."""
    return vote(question, answers).unanimous


class _Bounded:
    """Comparison of formulas that always returns False after MISSES time-outs in this vote."""

    def __init__(self, same_formula: SameFormula) -> None:
        self._same, self._left = same_formula, MISSES

    def __call__(self, one: str, other: str) -> bool:
        if self._left <= 0:
            return False
        answer = self._same(one, other)
        self._left -= answer is None
        return bool(answer)


def _belongs(reading: Reading, members: list[Reading], in_percent: bool, same_formula: SameFormula) -> bool:
    """Return whether a reading equals the first of a group, or another without algebra ("2", "2 km" and "2000 m")."""
    if same(members[0], reading, in_percent, same_formula):
        return True
    return any(same(member, reading, in_percent, _no_algebra) for member in members[1:])


def _no_algebra(one: str, other: str) -> bool:
    return one == other
