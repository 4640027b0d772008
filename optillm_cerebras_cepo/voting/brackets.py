"""Points, intervals and sets of numbers: "(1, 2)", "[0, 1)", "0 ≤ x < 1", "{1, 2, 3}", "1 and 2", "x = 1, y = 2"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from optillm_cerebras_cepo.voting.notation import read_quantity, unassigned

_WHOLE = re.compile(r"^\s*(\\\{|[(\[{]?)\s*(.*?)\s*(\\\}|[)\]}]?)\s*$", re.DOTALL)
_MEMBER = re.compile(r"^\s*[a-zA-Z]\s*(?:\\in(?![a-z])|∈)\s*")
_LESS = r"\s*(<=?|≤|\\leq?(?:slant)?(?![a-z])|\\lt(?![a-z]))\s*"
_CHAIN = re.compile(rf"^(.+?){_LESS}[a-zA-Z]{_LESS}(.+)$")
_NAME = re.compile(r"^\s*([a-zA-Z])(?:_\{?\w+\}?)?\s*=")
_BETWEEN = re.compile(r"\s*,\s*(?:and|or)\s+|\s+(?:and|or)\s+|\s*[,;]\s*")
_MOST, _LONGEST = 20, 300  # elements, characters


@dataclass(frozen=True)
class Bracketed:
    """Several numbers.

    Attributes:
        brackets: "()", "[)", "(]", "[]", "{}", or "" for a list without brackets.
        elements: the numbers, in the order in which they stand.

    """

    brackets: str
    elements: tuple[Fraction, ...]

    def same(self, other: Bracketed) -> bool:
        """Whether both are the same point, interval or set; what stands without brackets may be a set or a point."""
        kinds = {self.brackets, other.brackets}
        if kinds <= {"", "{}"}:
            return set(self.elements) == set(other.elements)
        return self.elements == other.elements and (len(kinds) == 1 or "" in kinds)


def read_bracketed(text: str) -> Bracketed | None:
    """Two numbers or more, with brackets or without; None when anything else is among them. `text` is `plain`."""
    chain = _CHAIN.match(text[:_LONGEST])
    if chain:
        left, right = ("(" if sign in ("<", "\\lt") else "[" for sign in (chain[2], chain[3]))
        text = f"{left}{chain[1]},{chain[4]}{')' if right == '(' else ']'}"
    whole = _WHOLE.match(_MEMBER.sub("", text))
    if whole is None or len(text) > _LONGEST:
        return None
    brackets = (whole[1] + whole[3]).replace("\\", "")
    if brackets not in ("", "()", "[)", "(]", "[]", "{}"):
        return None
    parts = _BETWEEN.split(whole[2])
    if not 2 <= len(parts) <= _MOST and not (brackets == "{}" and len(parts) == 1):
        return None
    names = [name[1] if (name := _NAME.match(part)) else "" for part in parts]
    if len(set(names)) > 1:  # "y = 3, x = 5" is the point (5, 3); names on some of the numbers only say nothing clear
        if "" in names or brackets not in ("", "()"):
            return None
        brackets, parts = "()", [part for _, part in sorted(zip(names, parts, strict=True))]
    numbers = [read_quantity(unassigned(part)) for part in parts]
    values = tuple(number.value for number in numbers if number is not None and not number.unit)
    return Bracketed(brackets, values) if len(values) == len(parts) else None
