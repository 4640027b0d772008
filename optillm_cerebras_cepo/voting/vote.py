"""Which of several answers are the same answer, and which one most of them give. Asks no model.

Each reply's final answer is read (`answers.py`) and compared with the others (`reading.py`)

1. by the letters of the choices it takes, if the question offers choices (`choices.py`);
2. as a number with its unit, or several of them, exactly (`notation.py`, `units.py`, `brackets.py`), and else as a
   formula, by math_verify (`equivalence.py`);
3. by its bare words.

The same answers give the same groups in any order. Equality is made transitive by comparing with one representative of
each group, the most explicit one first: "3" joins "3 km" or "3 m", whichever more answers give, and never links them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from optillm_cerebras_cepo.voting.algebra_worker import equal_formulas
from optillm_cerebras_cepo.voting.comparison import Reading, SameFormula, read, same
from optillm_cerebras_cepo.voting.multiple_choice import offered

MISSES = 2  # questions of one vote that the algebra may leave open for want of time; after that words decide


@dataclass(frozen=True)
class Vote:
    """Answers sorted into groups of equal ones.

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
        """Whether all say the same, as a single answer does."""
        return len(self.groups) == 1


def vote(question: str, answers: Sequence[str], same_formula: SameFormula = equal_formulas) -> Vote:
    """Sort answers to a question into groups of equal ones.

    Args:
        question: what was asked; says whether letters are choices, and whether a percent sign may be left out.
        answers: whole replies, of any length.
        same_formula: the algebra; by default a child process, started when two formulas need it.

    Never raises. An answer of which nothing can be read is compared by its text; one without text is alone.

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
    """Indexes of the answers in groups of equal ones, the largest first, ties by their first index."""
    return vote(question, answers).groups


def majority(question: str, answers: Sequence[str]) -> int:
    """Index of the first answer of the largest group. Raises ValueError when there is no answer."""
    if not answers:
        raise ValueError("a majority of no answers; there must be one at least")
    return vote(question, answers).majority[0]


def agreement(question: str, answers: Sequence[str]) -> float:
    """Share of the largest group among all answers, 0 to 1; 0 for no answers."""
    return vote(question, answers).agreement


def agree(question: str, answers: Sequence[str]) -> bool:
    """Whether these answers all say the same; one alone does, none do not."""
    return vote(question, answers).unanimous


class _Bounded:
    """The algebra, until it has been out of time too often in this vote."""

    def __init__(self, same_formula: SameFormula) -> None:
        self._same, self._left = same_formula, MISSES

    def __call__(self, one: str, other: str) -> bool:
        if self._left <= 0:
            return False
        answer = self._same(one, other)
        self._left -= answer is None
        return bool(answer)


def _belongs(reading: Reading, members: list[Reading], in_percent: bool, same_formula: SameFormula) -> bool:
    """Whether a reading is the same as the first of a group, or plainly as another ("2" beside "2 km" and "2000 m")."""
    if same(members[0], reading, in_percent, same_formula):
        return True
    return any(same(member, reading, in_percent, _no_algebra) for member in members[1:])


def _no_algebra(one: str, other: str) -> bool:
    return one == other
