"""Units of measurement: which are the same, and which measure the same quantity.

The table has the units that questions ask for, not all. A word that is not in it is a unit too ("apples"), which equals
only itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

# name → (what it measures, its size in the base unit, other spellings); the SI brochure (9th edition) and, for the
# others, NIST Special Publication 811, appendix B.
_TABLE: dict[str, tuple[str, str, str]] = {
    "m": ("length", "1", "meter metre"),
    "km": ("length", "1000", "kilometer kilometre"),
    "cm": ("length", "1/100", "centimeter centimetre"),
    "mm": ("length", "1/1000", "millimeter millimetre"),
    "nm": ("length", "1/1000000000", "nanometer nanometre"),
    "mi": ("length", "1609.344", "mile"),
    "ft": ("length", "0.3048", "foot feet"),
    "in": ("length", "0.0254", "inch inches"),
    "yd": ("length", "0.9144", "yard"),
    "kg": ("mass", "1", "kilogram kilo"),
    "g": ("mass", "1/1000", "gram gramme"),
    "mg": ("mass", "1/1000000", "milligram"),
    "lb": ("mass", "0.45359237", "pound lbs"),
    "s": ("time", "1", "sec second"),
    "ms": ("time", "1/1000", "millisecond"),
    "min": ("time", "60", "minute"),
    "h": ("time", "3600", "hr hour"),
    "day": ("time", "86400", ""),
    "L": ("volume", "1", "l liter litre"),
    "mL": ("volume", "1/1000", "ml milliliter millilitre"),
    "A": ("current", "1", "amp ampere"),
    "mA": ("current", "1/1000", "milliampere"),
    "V": ("voltage", "1", "volt"),
    "W": ("power", "1", "watt"),
    "kW": ("power", "1000", "kilowatt"),
    "J": ("energy", "1", "joule"),
    "kJ": ("energy", "1000", "kilojoule"),
    "N": ("force", "1", "newton"),
    "Pa": ("pressure", "1", "pascal"),
    "kPa": ("pressure", "1000", "kilopascal"),
    "Hz": ("frequency", "1", "hertz"),
    "kHz": ("frequency", "1000", "kilohertz"),
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
    "Ω": ("resistance", "1", "ohm"),
}
_SYMBOLS = {name: name for name in _TABLE}
_WORDS = {word: name for name, (_, _, spellings) in _TABLE.items() for word in spellings.split()}
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_POWERS = {"square": 2, "sq": 2, "cubic": 3}
_PART = re.compile(r"(?P<name>[^\W\d_]+|[°$€£¢Ω℃℉][CF]?)\^?\(?(?P<power>[-−]?\d)?\)?\.?")


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
        name = _known(match["name"])
        measure, factor, _ = _TABLE[name] if name else (_singular(match["name"].lower()), "1", "")
        powers[measure] = powers.get(measure, 0) + power
        size *= Fraction(factor) ** power
    return Unit(tuple(sorted((measure, power) for measure, power in powers.items() if power)), size)


def is_known(text: str) -> bool:
    """Return whether a single word or symbol is in the table."""
    return _known(text) is not None


def _known(name: str) -> str | None:
    lower = name.lower()
    for spelling in (lower, lower.removesuffix("s"), lower.removesuffix("es")):
        if spelling in _WORDS:
            return _WORDS[spelling]
    return _SYMBOLS.get(name)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
