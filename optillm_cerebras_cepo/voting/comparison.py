"""Read a reply's answer in the notations that can be compared, and compare two readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from optillm_cerebras_cepo.voting.algebra_worker import is_formula, is_prose
from optillm_cerebras_cepo.voting.extraction import final_answer
from optillm_cerebras_cepo.voting.multiple_choice import taken
from optillm_cerebras_cepo.voting.notation import (
    Bracketed,
    Quantity,
    plain,
    read_bracketed,
    read_quantity,
    restated,
    split_unit,
    squeezed,
    unassigned,
    words,
)
from optillm_cerebras_cepo.voting.units import NO_UNIT, Unit

SameFormula = Callable[[str, str], bool | None]  # None if the time was up


@dataclass(frozen=True)
class Reading:
    """A reply's answer, in the notations that can be compared.

    Attributes:
        text: normalized text: bare words, or a formula without spaces.
        letters: letters of the chosen choices; empty if the answer is no choice.
        quantity: the number with its unit; None for any other answer.
        bracketed: the point, interval or set of numbers; None for any other answer.
        formula: the formula; empty if the answer is none that algebra can compare.
        unit: of the number or the formula.

    """

    text: str
    letters: str = ""
    quantity: Quantity | None = None
    bracketed: Bracketed | None = None
    formula: str = ""
    unit: Unit = NO_UNIT

    @property
    def explicit(self) -> int:
        """Rank by what the answer has beyond a bare value: letters, then a unit or brackets, then exactness."""
        exact = self.quantity is not None and self.quantity.places is None
        return 4 * bool(self.letters) + 2 * bool(self.unit or (self.bracketed and self.bracketed.brackets)) + exact


def read(reply: str, choices: Mapping[str, str], same_formula: SameFormula) -> Reading:
    """Return the reading of a reply.

    Args:
        reply: the whole reply.
        choices: of the question, letter → text; empty if it has none.
        same_formula: compares choices that are formulas.

    """
    answer = final_answer(reply)
    reading = reading_of(answer)
    if not choices:
        return reading

    def says(said: str, choice: str) -> bool:
        return same(reading_of(said), reading_of(choice), True, same_formula)

    letters = taken(reply, answer, choices, says)
    return Reading(letters, letters=letters) if letters else reading


def reading_of(answer: str) -> Reading:
    """Return the reading of a final answer."""
    clean = plain(answer)
    value = restated(unassigned(clean))
    quantity = read_quantity(value)
    if quantity is not None:
        return Reading(squeezed(value), quantity=quantity, unit=quantity.unit)
    body, unit = split_unit(clean)
    if is_formula(body):
        return Reading(squeezed(body), bracketed=read_bracketed(clean), formula=body, unit=unit)
    return Reading(words(clean) if is_prose(clean) else squeezed(clean).casefold())


def same(one: Reading, other: Reading, in_percent: bool, same_formula: SameFormula) -> bool:
    """Return whether two readings are the same answer; `in_percent` if the question asks for a percentage."""
    if one.letters or other.letters:
        return one.letters == other.letters
    if one.quantity and other.quantity:
        return _equal_quantities(one.quantity, other.quantity, in_percent)
    if one.bracketed and other.bracketed:
        return one.bracketed.same(other.bracketed)
    if one.unit and other.unit and one.unit != other.unit:
        return False
    if one.text == other.text:
        return bool(one.text)
    first, second = _as_formula(one), _as_formula(other)
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
    if _close(one.value * factor, other.value, one.places if factor == 1 else None, other.places):
        return True
    if in_percent and one.percent != other.percent:
        return one.value * (100 if one.percent else 1) == other.value * (100 if other.percent else 1)
    return False


def _close(one: Fraction, other: Fraction, places: int | None, other_places: int | None) -> bool:
    """Return whether two numbers are equal, or one is a decimal of at least 3 places that the other rounds to."""
    if one == other:
        return True
    if places is not None and other_places is not None:
        coarse = min(places, other_places)
        least = 4  # for two decimals: 0.125 and 0.1249 are different answers
    else:
        coarse, least = places if places is not None else other_places or 0, 3
    digits = len(str(int(abs(one) * Fraction(10) ** max(coarse, 0))))
    return coarse >= 3 and digits >= least and abs(one - other) * 2 * 10**coarse <= 1
