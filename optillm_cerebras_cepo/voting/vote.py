"""Group equal answers. No model is called.

Each reply's final answer is extracted (`extraction.py`) and compared with the others (`comparison.py`):

1. by the letters of its choices, if the question is a multiple-choice question (`multiple_choice.py`);
2. exactly, as a number with its unit (`quantities.py`, `units.py`), as several numbers, or in another notation
   (`notation.py`); otherwise as a formula (`formulas.py`), by math_verify (`algebra_process.py`);
3. by its words.

The groups do not depend on the order of the answers. Equality is made transitive by comparing with one representative
of each group, the most explicit one first: "3" joins the larger of the groups "3 km" and "3 m", and never merges them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optillm_cerebras_cepo.voting.algebra_process import equal_formulas
from optillm_cerebras_cepo.voting.comparison import Asked, Reading, SameFormula, read, same
from optillm_cerebras_cepo.voting.multiple_choice import offered

MISSES = 2  # comparisons of formulas in one vote that may run out of time; after that, formulas are not compared


@dataclass(frozen=True)
class Vote:
    """Groups of equal answers.

    Attributes:
        groups: indexes of the answers, each once; the largest group first, ties by their first index.
        marked: whether any reply marks its answer; if none does, different words say nothing about the answers.

    """

    groups: tuple[tuple[int, ...], ...]
    marked: bool = True

    @property
    def majority(self) -> tuple[int, ...]:
        """The largest group; empty when there is no answer."""
        return self.groups[0] if self.groups else ()

    @property
    def agreement(self) -> float | None:
        """Share of the largest group among all answers, 0 to 1; None if no reply marks its answer."""
        count = sum(len(group) for group in self.groups)
        return len(self.majority) / count if count and self.marked else None

    @property
    def unanimous(self) -> bool:
        """Whether all answers are equal; true for a single answer."""
        return len(self.groups) == 1


def vote(question: str, answers: Sequence[str], same_formula: SameFormula = equal_formulas) -> Vote:
    """Sort answers to a question into groups of equal ones.

    Args:
        question: decides whether letters are choices, and whether a percent sign may be left out.
        answers: whole replies, of any length.
        same_formula: compares formulas; by default child processes; the first is started on first use.

    Raises only what `same_formula` raises. An answer without text is a group of its own.

    """
    # OptiLLM's defect: votes_go_by_the_first_letter
    bounded = _Bounded(same_formula)
    choices = offered(question)
    readings = [read(answer, question, choices, bounded) for answer in answers]
    asked = Asked.by(question)
    alike: dict[Reading, list[int]] = {}
    for index, reading in enumerate(readings):
        alike.setdefault(reading if reading.text else Reading(f"\n{index}"), []).append(index)
    ordered = sorted(alike, key=lambda reading: (-reading.explicit, -len(alike[reading]), repr(reading)))
    groups: list[list[Reading]] = []

    def answering(members: list[Reading]) -> list[int]:
        return sorted(index for member in members for index in alike[member])

    for reading in ordered:
        groups.sort(key=lambda members: (-members[0].explicit, -len(answering(members))))
        home = next((members for members in groups if _belongs(reading, members, asked, bounded)), None)
        if home is None:
            groups.append([reading])
        else:
            home.append(reading)
    indexes = [tuple(answering(members)) for members in groups]
    in_order = tuple(sorted(indexes, key=lambda members: (-len(members), members[0])))
    return Vote(in_order, any(reading.marked for reading in readings))


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


def _belongs(reading: Reading, members: list[Reading], asked: Asked, same_formula: SameFormula) -> bool:
    """Return whether a reading equals the first of a group, or another without algebra ("2", "2 km" and "2000 m")."""
    if same(members[0], reading, asked, same_formula):
        return True
    return any(same(member, reading, asked, _no_algebra) for member in members[1:])


def _no_algebra(one: str, other: str) -> bool:
    return one == other
