"""Group equal answers. No model is called.

Each reply's final answer is extracted (`extraction.py`) and compared with the others:

1. by the letters of its choices, if the question is a multiple-choice question (`multiple_choice.py`);
2. exactly, as a number with its unit or as several numbers (`notation.py`, `units.py`); otherwise as a formula, by
   math_verify (`algebra_process.py`);
3. by its words.

The groups do not depend on the order of the answers. Equality is made transitive by comparing with one representative
of each group, the most explicit one first: "3" joins the larger of the groups "3 km" and "3 m", and never merges them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from optillm_cerebras_cepo.voting.algebra_process import equal_formulas, is_formula, is_prose
from optillm_cerebras_cepo.voting.extraction import LONGEST, SHORT, final_answer
from optillm_cerebras_cepo.voting.multiple_choice import offered, taken
from optillm_cerebras_cepo.voting.notation import (
    Bracketed,
    Quantity,
    all_words,
    close,
    is_equation,
    plain,
    read_bracketed,
    read_digits,
    read_nothing,
    read_parts,
    read_quantity,
    read_rows,
    read_time,
    restated,
    split_unit,
    squeezed,
    unassigned,
    without_case,
    words,
)
from optillm_cerebras_cepo.voting.units import NO_UNIT, Unit

SameFormula = Callable[[str, str], bool | None]  # None if the time was up

MISSES = 2  # comparisons of formulas in one vote that may run out of time; after that, formulas are not compared


_ORDERED = re.compile(
    r"\b(?:permutations?|order(?:ed)?|sort(?:ed)?|sequence|rank(?:ed|ing)?|arrange|ascending|descending)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Asked:
    """What a question says about its answer: whether it is a percentage, and whether the order of a list counts."""

    in_percent: bool = False
    ordered: bool = False


@dataclass(frozen=True)
class Reading:
    """A reply's answer, in the notations that can be compared.

    Attributes:
        text: normalized text: bare words, or a formula without spaces.
        letters: letters of the chosen choices; empty if the answer is no choice.
        quantity: the number with its unit; None for any other answer.
        bracketed: the point, interval or set of numbers; None for any other answer.
        formula: the formula; empty if the answer is none that algebra can compare, or an equation without a value.
        equation: the equation, also of the form "y = 2x", whose value is the formula; empty if the answer is none.
        unit: of the number or the formula.
        marked: whether the reply marks its answer. It says nothing about the answer, and is not compared.

    """

    text: str
    letters: str = ""
    quantity: Quantity | None = None
    bracketed: Bracketed | None = None
    formula: str = ""
    equation: str = field(default="", compare=False)
    unit: Unit = NO_UNIT
    marked: bool = field(default=True, compare=False)

    @property
    def explicit(self) -> int:
        """Rank by what the answer has beyond a bare value: letters, then a unit or brackets, then exactness."""
        exact = self.quantity is not None and self.quantity.places is None
        return 4 * bool(self.letters) + 2 * bool(self.unit or (self.bracketed and self.bracketed.brackets)) + exact


def read(reply: str, question: str, choices: Mapping[str, str], same_formula: SameFormula) -> Reading:
    """Return the reading of a reply.

    Args:
        reply: the whole reply.
        question: what it answers.
        choices: of the question, letter → text; empty if it has none.
        same_formula: compares choices that are formulas.

    """
    answer = final_answer(reply, question)
    if answer.verbatim:
        return Reading(answer.text)
    if answer.marked and len(answer.text) > LONGEST:
        return Reading(all_words(answer.text))
    reading = reading_of(answer.text) if answer.marked else Reading(_unmarked(answer.text), marked=False)
    if not choices:
        return reading

    def says(said: str, choice: str) -> bool:
        return len(said) <= LONGEST and same(reading_of(said), reading_of(choice), Asked(in_percent=True), same_formula)

    letters = taken(reply, answer, question, choices, says)
    return Reading(letters, letters=letters) if letters else reading


def _unmarked(text: str) -> str:
    """Return the text of a reply without a marked answer: a short one may equal a marked one by its words."""
    if len(text) > SHORT:
        return all_words(text)
    return read_nothing(plain(text)) or words(text)


def reading_of(answer: str) -> Reading:
    """Return the reading of a final answer."""
    if parts := read_parts(answer):
        return Reading("; ".join(f"{label} {_canonical(part)}" for label, part in parts))
    if rows := read_rows(answer):
        clean = plain(answer)
        quantity = None if "\n" in rows else read_quantity(clean)  # "1 000" is a number
        return Reading(squeezed(clean), quantity=quantity) if quantity else Reading(rows)
    clean = plain(answer)
    if exact := read_time(clean) or read_digits(clean) or read_nothing(clean):
        return Reading(exact)
    value = restated(unassigned(clean))
    quantity = read_quantity(value)
    if quantity is not None:
        return Reading(squeezed(value), quantity=quantity, unit=quantity.unit)
    body, unit = split_unit(unassigned(clean))
    equation = clean if is_equation(clean) and is_formula(clean) else ""
    if is_formula(body):
        return Reading(
            squeezed(body),
            bracketed=read_bracketed(clean),
            formula="" if is_equation(body) else body,
            equation=equation,
            unit=unit,
        )
    value = unassigned(clean)
    return Reading(words(value) if is_prose(value) else without_case(squeezed(value)), equation=equation)


def _canonical(part: str) -> str:
    """Return one spelling of a part of an answer."""
    reading = reading_of(part)
    return str(reading.quantity.value) if reading.quantity else reading.text


def same(one: Reading, other: Reading, asked: Asked, same_formula: SameFormula) -> bool:
    """Return whether two readings are the same answer to what was asked."""
    if one.letters or other.letters:
        return one.letters == other.letters
    if one.quantity and other.quantity:
        return _equal_quantities(one.quantity, other.quantity, asked.in_percent)
    if one.bracketed and other.bracketed:
        return one.bracketed.same(other.bracketed, asked.ordered)
    if (one.bracketed and other.quantity) or (one.quantity and other.bracketed):
        return False
    if one.unit and other.unit and one.unit != other.unit:
        return False
    if one.text == other.text:
        return bool(one.text)
    first, second = _as_formula(one), _as_formula(other)
    if not (first and second):
        first, second = one.equation, other.equation
    return bool(first and second and same_formula(first, second))


def _as_formula(reading: Reading) -> str:
    if reading.quantity is None:
        return reading.formula
    value, places = reading.quantity.value, reading.quantity.places
    return str(value) if places is None or not 0 < places < 40 else f"{float(value):.{places}f}"


def _equal_quantities(one: Quantity, other: Quantity, in_percent: bool) -> bool:
    if one.unit and other.unit:
        if one.unit.measures != other.unit.measures:
            return False
        factor = one.unit.size / other.unit.size
    else:
        factor = Fraction(1)
    if close(one.value * factor, other.value, one.places if factor == 1 else None, other.places):
        return True
    if in_percent and one.percent != other.percent:
        return one.value * (100 if one.percent else 1) == other.value * (100 if other.percent else 1)
    return False


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
        same_formula: compares formulas; by default a child process, which is started on first use.

    Raises only what `same_formula` raises. An answer without text is a group of its own.

    """
    # OptiLLM's defect: votes_go_by_the_first_letter
    bounded = _Bounded(same_formula)
    choices = offered(question)
    readings = [read(answer, question, choices, bounded) for answer in answers]
    asked = Asked("percent" in question.lower() or "%" in question, bool(_ORDERED.search(question)))
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
