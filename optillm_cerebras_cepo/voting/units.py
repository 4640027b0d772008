"""Units of measurement: what they measure, and how large they are. pint knows them.

pint reads nearly every short word as something ("cat" is a hundredth of a technical atmosphere), so only the units that
questions ask for are looked up. Any other word is a unit too ("apples"), which equals only itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

# pint's names: of units that take a prefix, and of those that take none.
_PREFIXABLE = {
    "meter", "gram", "second", "liter", "ampere", "volt", "watt", "watt_hour", "joule", "electron_volt", "calorie",
    "newton", "pascal", "bar", "hertz", "mole", "ohm", "coulomb", "farad", "tesla", "henry", "byte", "bit",
}  # fmt: skip
_OTHERS = {
    "mile", "foot", "inch", "yard", "acre", "hectare", "pound", "ounce", "metric_ton", "minute", "hour", "day",
    "week", "year", "gallon", "kelvin", "degree", "radian", "atmosphere",
    "horsepower", "knot",
}  # fmt: skip
_LETTERS = "AghJKlLmNsVWΩ"  # any other letter is a variable
_PREFIXES = ("", "tera", "giga", "mega", "kilo", "centi", "milli", "micro", "nano", "pico")
# Spellings that pint does not have, in small letters.
_SPELLINGS = {
    "°": "degree", "deg": "degree", "°c": "celsius", "℃": "celsius", "°f": "fahrenheit", "℉": "fahrenheit",
    "kilo": "kg", "gramme": "gram",
}  # fmt: skip
_MONEY: dict[str, tuple[str, int | Fraction]] = {
    "$": ("dollars", 1), "usd": ("dollars", 1), "dollar": ("dollars", 1), "dollars": ("dollars", 1),
    "¢": ("dollars", Fraction(1, 100)), "cent": ("dollars", Fraction(1, 100)), "cents": ("dollars", Fraction(1, 100)),
    "€": ("euros", 1), "eur": ("euros", 1), "euro": ("euros", 1), "euros": ("euros", 1),
    "£": ("pounds sterling", 1), "gbp": ("pounds sterling", 1), "¥": ("yen", 1), "jpy": ("yen", 1), "yen": ("yen", 1),
}  # fmt: skip
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "squared": 2, "cubed": 3}
_PART = re.compile(r"(?P<name>[^\W\d_]+|[°$€£¥¢Ω℃℉][CF]?)\^?\(?(?P<power>[-−]?\d)?\)?\.?")


@dataclass(frozen=True)
class Unit:
    """What is measured, as powers of base units or unknown words, and how large the unit is in them."""

    measures: tuple[tuple[str, int], ...] = ()
    size: Fraction = Fraction(1)

    def __bool__(self) -> bool:
        """Whether there is a unit at all."""
        return bool(self.measures)


NO_UNIT = Unit()


def read_unit(text: str) -> Unit | None:
    """Return the unit that a text names ("m/s", "metres per second", "kg·m²", "apples"); None if it names none.

    An empty text gives NO_UNIT. A text of more than four parts is a sentence, not a unit.
    """
    words = text.translate(_SUPERSCRIPTS).replace("**", "^").replace("° ", "°")
    words = re.sub(r"\bdegrees?\s+(?=[cf])", "", words, flags=re.IGNORECASE)
    words = re.sub(r"\b(k|m)ph\b", lambda match: {"k": "km/h", "m": "mi/h"}[match[1]], words)
    words = re.sub(r"\bper\b", "/", re.sub(r"[·⋅*×]|\\cdot", " ", words))
    words = re.sub(r"[{}()]", "", words).strip(" .")
    words = re.sub(r"(\S+)\s+(squared|cubed)\b", r"\2 \1", words)
    unit, sign, pending, parts = NO_UNIT, 1, 1, 0
    for token in re.findall(r"/|[^\s/]+", words):
        if token == "/":
            sign = -1
            continue
        if token.lower() in _POWERS:
            pending = _POWERS[token.lower()]
            continue
        match = _PART.fullmatch(token)
        parts += 1
        if match is None or parts > 4:
            return None
        power = sign * pending * int((match["power"] or "1").replace("−", "-"))
        pending = 1
        unit = _product(unit, _known(match["name"]) or Unit(((_singular(match["name"].lower()), 1),)), power)
    return unit


def is_known(text: str) -> bool:
    """Return whether a single word or symbol is a unit of measurement or money, with or without a prefix."""
    return _known(text) is not None


def _product(one: Unit, other: Unit, power: int) -> Unit:
    """Return a unit times a power of another."""
    powers = dict(one.measures)
    for measure, exponent in other.measures:
        powers[measure] = powers.get(measure, 0) + power * exponent
    return Unit(tuple(sorted((name, count) for name, count in powers.items() if count)), one.size * other.size**power)


@lru_cache(maxsize=1024)
def _known(name: str) -> Unit | None:
    """Return the unit of a name: a symbol by its case, a word of more than three letters without it."""
    lower = name.lower()
    if lower in _MONEY:
        measure, size = _MONEY[lower]
        return Unit(((measure, 1),), Fraction(size))
    name = _SPELLINGS.get(lower, lower if len(name) > 3 else name)
    if len(name) == 1 and name not in _LETTERS:
        return None
    found = ((prefix, unit) for prefix, unit, _ in _registry().parse_unit_name(name))
    for prefix, unit in found:
        if unit.startswith("degree_"):  # their zero is not zero kelvin
            return Unit(((unit, 1),))
        if (unit in _PREFIXABLE and prefix in _PREFIXES) or (unit in _OTHERS and not prefix):
            one = _registry().Quantity(1, prefix + unit).to_root_units()
            bases = sorted((base, int(power)) for base, power in one.unit_items())
            return Unit(tuple(bases), Fraction(one.magnitude))
    return None


@cache
def _registry() -> Any:
    """Return pint's units, with exact sizes. It takes a fifth of a second, and 20 MB, so only where units occur."""
    from pint import UnitRegistry

    return UnitRegistry(non_int_type=Fraction)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
