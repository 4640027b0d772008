"""Read a reply's answer in the notations that can be compared, and compare two readings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from optillm_cerebras_cepo.voting.answer_text import SHORT
from optillm_cerebras_cepo.voting.extraction import final_answer
from optillm_cerebras_cepo.voting.formulas import is_equation, is_formula, is_prose, unassigned
from optillm_cerebras_cepo.voting.multiple_choice import taken
from optillm_cerebras_cepo.voting.notation import (
    Bracketed,
    read_bracketed,
    read_date,
    read_digits,
    read_nothing,
    read_parts,
    read_rows,
    read_time,
)
from optillm_cerebras_cepo.voting.plain_text import all_words, plain, squeezed, without_case, words
from optillm_cerebras_cepo.voting.quantities import Quantity, close, read_quantity, restated, split_unit
from optillm_cerebras_cepo.voting.units import NO_UNIT, Unit

SameFormula = Callable[[str, str], bool | None]  # None if the time was up
_ORDERED = re.compile(
    r"\b(?:permutations?|order(?:ed)?|sort(?:ed)?|sequence|rank(?:ed|ing)?|arrange|ascending|descending)\b",
    re.IGNORECASE,
)
_OF_VERSION = re.compile(r"\b(?:which|what|latest|current|newest|oldest) (?:\w+ )?version\b", re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """What a question says about its answer: whether it is a percentage, and whether the order of a list counts."""

    in_percent: bool = False
    ordered: bool = False

    @classmethod
    def by(cls, question: str) -> Asked:
        """Read a question."""
        return cls("percent" in question.lower() or "%" in question, bool(_ORDERED.search(question)))


@dataclass(frozen=True)
class Reading:
    """A reply's answer, in the notations that can be compared.

    Attributes:
        text: normalized text: bare words, or a formula without spaces.
        letters: letters of the chosen choices; empty if the answer is no choice.
        quantity: the number with its unit; None for any other answer.
        bracketed: the point, interval or set of numbers; None for any other answer.
        formula: the formula, also of "3m"; empty if the answer is none that algebra can compare, or an equation
            without a value.
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
    if answer.verbatim or (answer.marked and _OF_VERSION.search(question)):  # version 1.10 is not 1.1
        return Reading(answer.text)
    reading = reading_of(answer.text) if answer.marked else Reading(_unmarked(answer.text), marked=False)
    if not choices:
        return reading

    def says(said: str, choice: str) -> bool:
        return same(reading_of(said), reading_of(choice), Asked(in_percent=True), same_formula)

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
    clean = plain(answer)
    rows = read_rows(answer)
    if rows and ("\n" in rows or not read_quantity(clean)):  # "1 000" is a number
        return Reading(rows)
    if exact := read_time(clean) or read_date(clean) or read_digits(clean) or read_nothing(clean):
        return Reading(exact)
    value = unassigned(clean)
    if quantity := read_quantity(first := restated(value)):
        formula = first if quantity.maybe_variable else ""
        return Reading(squeezed(first), quantity=quantity, unit=quantity.unit, formula=formula)
    equation = clean if is_equation(clean) and is_formula(clean) else ""
    formula, unit = split_unit(value)
    if not is_formula(formula):
        return Reading(words(value) if is_prose(value) else without_case(squeezed(value)), equation=equation)
    return Reading(
        squeezed(formula),
        bracketed=read_bracketed(clean),
        formula="" if is_equation(formula) else formula,
        equation=equation,
        unit=unit,
    )


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
    if reading.quantity is None or reading.formula:
        return reading.formula
    value, places = reading.quantity.value, reading.quantity.places
    return str(value) if places is None or not 0 < places < 40 else f"{float(value):.{places}f}"


def _equal_quantities(one: Quantity, other: Quantity, in_percent: bool) -> bool:
    if one.unit and other.unit:
        if one.unit.measures != other.unit.measures:
            return False
        factor = one.unit.size / other.unit.size
    elif one.maybe_variable or other.maybe_variable:
        return False
    else:
        factor = Fraction(1)
    if close(one.value * factor, other.value, one.places if factor == 1 else None, other.places):
        return True
    if in_percent and one.percent != other.percent:
        return one.value * (100 if one.percent else 1) == other.value * (100 if other.percent else 1)
    return False
