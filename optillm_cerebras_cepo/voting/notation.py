"""Read answers that are not one number: several numbers, a time, a date, another base, rows, labelled parts."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from optillm_cerebras_cepo.voting.formulas import unassigned
from optillm_cerebras_cepo.voting.quantities import Quantity, close, read_quantity

_WHOLE = re.compile(r"^\s*(\\\{|[(\[{]?)\s*(.*?)\s*(\\\}|[)\]}]?)\s*$", re.DOTALL)
_MEMBER = re.compile(r"^\s*[a-zA-Z]\s*(?:\\in(?![a-z])|∈)\s*")
_LESS = r"\s*(<=?|≤|\\leq?(?:slant)?(?![a-z])|\\lt(?![a-z]))\s*"
_CHAIN = re.compile(rf"^(.+?){_LESS}[a-zA-Z]{_LESS}(.+)$")
_NAME = re.compile(r"^\s*([a-zA-Z](?:_\{?\w+\}?)?)(?:\(\w\))?\s*=")
_BETWEEN = re.compile(r"\s*,\s*(?:and|or)\s+|\s+(?:and|or)\s+|\s*[,;]\s*")
_MOST, _LONGEST = 20, 300  # elements, characters
_NOTHING = {
    "no solution": re.compile(
        r"(?:(?:there (?:is|are)|(?:the|this) (?:equation|system|inequality|problem) has|it has) )?no solutions?"
        r"|\\(?:varnothing|emptyset)|∅|\\?\{\s*\\?\}|(?:the )?empty set",
        re.IGNORECASE,
    ),
    "does not exist": re.compile(r"d\.?n\.?e\.?|(?:(?:the|this) limit |it )?does(?: not|n't) exist", re.IGNORECASE),
    "not determined": re.compile(
        r"(?:it )?(?:cannot|can ?not|can't) be determined(?: from .{1,60})?|(?:there is )?not enough information"
        r"|insufficient information",
        re.IGNORECASE,
    ),
}
_PART_LABEL = re.compile(r"(?:^|(?<=[\s,;]))\**\(?([a-hA-H])\)\**\s*")
_TIME = re.compile(r"(\d{1,2})(?:[:.](\d{2})(?::00)?)?\s*(am|pm|a\.m|p\.m)?", re.IGNORECASE)
_HEXADECIMAL = re.compile(r"0x([0-9a-fA-F]+)")
_BASED = re.compile(r"\(?(\d[0-9a-fA-F]*)\)?\s*(?:_\s*\{?\s*|\(base )(\w+)\s*[})]?")
_NUMBER = re.compile(r"[-+]?\d{1,40}(?:\.\d{1,40})?")
_BASES = {"two": "2", "eight": "8", "ten": "10", "sixteen": "16"}


@dataclass(frozen=True)
class Bracketed:
    """Several numbers.

    Attributes:
        brackets: "()", "[)", "(]", "[]", "{}", or "" for a list without brackets.
        elements: the numbers, in their order.

    """

    brackets: str
    elements: tuple[Quantity, ...]

    def same(self, other: Bracketed, ordered: bool) -> bool:
        """Return whether both are the same point, interval or set. A list without brackets may be a set or a point.

        Args:
            other: the other.
            ordered: whether the order of a list counts. How often an element stands in it always does.

        """
        kinds = {self.brackets, other.brackets}
        mine, theirs = self.elements, other.elements
        if kinds <= {"", "{}"} and not ordered:
            mine, theirs = (tuple(sorted(side, key=lambda number: number.value)) for side in (mine, theirs))
        elif len(kinds) > 1 and "" not in kinds:
            return False
        return len(mine) == len(theirs) and all(
            close(one.value, two.value, one.places, two.places) for one, two in zip(mine, theirs, strict=True)
        )


def read_bracketed(text: str) -> Bracketed | None:
    """Return two or more numbers, with or without brackets; None for any other text. `text` comes from `plain`."""
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
    if len(set(names)) > 1:  # "y = 3, x = 5" is the point (5, 3); names on only some numbers are unclear
        if "" in names or brackets not in ("", "()"):
            return None
        brackets, parts = "()", [part for _, part in sorted(zip(names, parts, strict=True))]
    numbers = [read_quantity(unassigned(part)) for part in parts]
    values = tuple(number for number in numbers if number is not None and not number.unit)
    return Bracketed(brackets, values) if len(values) == len(parts) else None


def read_time(text: str) -> str | None:
    """Return a time of day in 24 hours, such as 19:30 for "7:30 pm"; None for any other text."""
    found = _TIME.fullmatch(text)
    if not found or not (found[3] or ":" in text) or int(found[1]) > 23 or int(found[2] or 0) > 59:
        return None
    half = (found[3] or "").lower()[:1]
    hour = int(found[1]) % 12 + 12 * (half == "p") if half else int(found[1])
    return f"{hour}:{int(found[2] or 0):02}"


def read_date(text: str) -> str | None:
    """Return a date such as "July 4th, 1776" or "4 Jul 1776" as 1776-07-04; None for any other text."""
    spaced = " ".join(re.sub(r"(?<=\d)(?:st|nd|rd|th)\b|[.,]|\b(?:the|of)\b", " ", text).split())
    for form in ("%d %B %Y", "%d %b %Y", "%B %d %Y", "%b %d %Y", "%Y-%m-%d"):
        with suppress(ValueError):
            return datetime.strptime(spaced, form).date().isoformat()
    return None


def read_digits(text: str) -> str | None:
    """Return a number in another base as "1f base 16"; None for any other text."""
    if found := _HEXADECIMAL.fullmatch(text):
        return f"{found[1].lower()} base 16"
    if found := _BASED.fullmatch(text):
        return f"{found[1].lower()} base {_BASES.get(found[2], found[2])}"
    return None


def read_nothing(text: str) -> str | None:
    """Return "no solution", "does not exist" or "not determined" for the ways to say so; None for any other text."""
    return next((meaning for meaning, pattern in _NOTHING.items() if pattern.fullmatch(text)), None)


def read_parts(text: str) -> list[tuple[str, str]] | None:
    """Return the parts of an answer such as "(a) 5, (b) 4", each with its label; None for any other text."""
    found = list(_PART_LABEL.finditer(text))
    labels = [match[1].lower() for match in found]
    in_order = labels == [chr(ord("a") + number) for number in range(len(labels))]
    if len(found) < 2 or not in_order or text[: found[0].start()].strip():
        return None
    ends = [*(match.start() for match in found[1:]), len(text)]
    parts = [text[match.end() : end].strip(" \t\n,;.*") for match, end in zip(found, ends, strict=True)]
    return list(zip(labels, parts, strict=True)) if all(parts) else None


def read_rows(text: str) -> str | None:
    """Return rows of numbers that only spaces separate, each number in its shortest form; None for any other text."""
    rows = [row.split() for row in text.strip().strip("[]").splitlines() if row.strip()]
    if not rows or max(map(len, rows)) < 2 or not all(_NUMBER.fullmatch(cell) for row in rows for cell in row):
        return None
    return "\n".join(" ".join(str(Fraction(cell)) for cell in row) for row in rows)
