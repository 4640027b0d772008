"""Units of measurement: which are the same, and which measure the same quantity.

The table has the units that questions ask for, not all. A word that is not in it is a unit too ("apples"), which equals
only itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

# symbol → (what it measures, its size in the base unit, other spellings); the SI brochure (9th edition) and, for the
# others, NIST Special Publication 811, appendix B.
_TABLE: dict[str, tuple[str, str, str]] = {
    "m": ("length", "1", "meter metre"),
    "mi": ("length", "1609.344", "mile"),
    "ft": ("length", "0.3048", "foot feet"),
    "in": ("length", "0.0254", "inch inches"),
    "yd": ("length", "0.9144", "yard"),
    "g": ("mass", "1/1000", "gram gramme"),
    "lb": ("mass", "0.45359237", "pound lbs"),
    "s": ("time", "1", "sec second"),
    "min": ("time", "60", "minute"),
    "h": ("time", "3600", "hr hour"),
    "day": ("time", "86400", ""),
    "L": ("volume", "1", "l liter litre"),
    "A": ("current", "1", "amp ampere"),
    "V": ("voltage", "1", "volt"),
    "W": ("power", "1", "watt"),
    "J": ("energy", "1", "joule"),
    "eV": ("energy", "1.602176634e-19", "electronvolt"),
    "cal": ("energy", "4.184", "calorie"),
    "N": ("force", "1", "newton"),
    "Pa": ("pressure", "1", "pascal"),
    "Hz": ("frequency", "1", "hertz"),
    "mol": ("amount", "1", "mole"),
    "K": ("temperature", "1", "kelvin"),
    "°C": ("celsius", "1", "celsius ℃"),
    "°F": ("fahrenheit", "1", "fahrenheit ℉"),
    "°": ("angle", "1", "deg degree"),
    "rad": ("angle in radians", "1", "radian"),
    "$": ("dollars", "1", "dollar usd"),
    "¢": ("dollars", "1/100", "cent"),
    "€": ("euros", "1", "euro eur"),
    "£": ("pounds sterling", "1", "gbp"),
    "¥": ("yen", "1", "jpy"),
    "Ω": ("resistance", "1", "ohm"),
}
_WORDS = {word: name for name, (_, _, spellings) in _TABLE.items() for word in spellings.split()}
_PREFIXABLE = ("m", "g", "s", "L", "A", "V", "W", "J", "eV", "cal", "N", "Pa", "Hz", "mol", "Ω")
# prefix → (its word, its power of ten)
_PREFIXES = {
    "T": ("tera", 12),
    "G": ("giga", 9),
    "M": ("mega", 6),
    "k": ("kilo", 3),
    "c": ("centi", -2),
    "m": ("milli", -3),
    "μ": ("micro", -6),
    "n": ("nano", -9),
    "p": ("pico", -12),
}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_POWERS = {"square": 2, "sq": 2, "cubic": 3}
_PART = re.compile(r"(?P<name>[^\W\d_]+|[°$€£¥¢Ω℃℉][CF]?)\^?\(?(?P<power>[-−]?\d)?\)?\.?")


@dataclass(frozen=True)
class Unit:
    """What is measured, as powers of quantities or unknown words, and how large the unit is in their base units."""

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
    powers: dict[str, int] = {}
    size, sign, pending, parts = Fraction(1), 1, 1, 0
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
        measure, factor = _known(match["name"]) or (_singular(match["name"].lower()), Fraction(1))
        powers[measure] = powers.get(measure, 0) + power
        size *= factor**power
    return Unit(tuple(sorted((measure, power) for measure, power in powers.items() if power)), size)


def is_known(text: str) -> bool:
    """Return whether a single word or symbol is a unit of the table, with or without a prefix."""
    return _known(text) is not None


def _known(name: str) -> tuple[str, Fraction] | None:
    """Return what a unit measures, and its size; symbols and their prefixes by case, words without it."""
    name = name.replace("µ", "μ")
    lower = name.lower()
    for spelling in (lower, lower.removesuffix("s"), lower.removesuffix("es")):
        if found := _by_word(spelling):
            return found
    if name in _TABLE:
        return _TABLE[name][0], Fraction(_TABLE[name][1])
    prefix, symbol = name[:1], name[1:].replace("l", "L") if name[1:] == "l" else name[1:]
    if prefix in _PREFIXES and symbol in _PREFIXABLE:
        return _TABLE[symbol][0], Fraction(_TABLE[symbol][1]) * Fraction(10) ** _PREFIXES[prefix][1]
    return None


def _by_word(word: str) -> tuple[str, Fraction] | None:
    """Return what the unit with this name measures, with or without a prefix, and its size."""
    if word == "kilo":  # alone, it is a kilogram
        return "mass", Fraction(1)
    if word in _WORDS:
        return _TABLE[_WORDS[word]][0], Fraction(_TABLE[_WORDS[word]][1])
    for prefix, power in _PREFIXES.values():
        rest = word.removeprefix(prefix)
        if rest != word and _WORDS.get(rest) in _PREFIXABLE:
            measure, size, _ = _TABLE[_WORDS[rest]]
            return measure, Fraction(size) * Fraction(10) ** power
    return None


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
