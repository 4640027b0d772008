"""Read a short text as one number with its unit, exactly, in figures or in words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from optillm_cerebras_cepo.voting.units import NO_UNIT, Unit, is_known, read_unit

LONGEST_NUMBER = 60  # characters; longer digits are compared as text
LARGEST_EXPONENT = 300  # of ten; beyond it a number is compared as text, never computed
_GROUPED = re.compile(r"(?<![\d.,])(\d{1,3})((?:[, _]\d{3})+)(?![\d,])")
_DECIMAL_COMMA = re.compile(
    r"^[-+]?(?:0|\d{4,}|\d{1,3}(?:[. ]\d{3})+),(?=\d{1,6}(?![\d,]))|^[-+]?\d{1,3},(?=\d{2}\s*[€$£])"
)
_GROUPED_OTHERWISE = re.compile(r"^[-+]?\d{1,3}(?:\.\d{3}){2,}(?![\d.])|^[-+]?\d{1,2}(?:,\d{2})+,\d{3}(?![\d,])")
_DIGITS = r"(?:\d+(?:\.\d*)?|\.\d+)"
_FRACTION = re.compile(r"^(?:(\d+)\s*)?\\frac\s*(?:\{\s*([-+]?\d+)\s*\}|(\d))\s*(?:\{\s*([-+]?\d+)\s*\}|(\d))")
_SLASHED = re.compile(rf"^(?:(\d+)\s+)?({_DIGITS})\s*/\s*({_DIGITS})")
_SCIENTIFIC = re.compile(
    rf"^({_DIGITS})\s*(?:[eE]|(?:\*|×|\\times|\\cdot|·)\s*10\s*(?:\^|\*\*)\s*)\{{?\(?([-+]?\d+)\)?\}}?"
)
_REPEATED = re.compile(r"^(\d{0,20})\.(\d{0,20}?)(?:\\overline\s*\{?(\d{1,20})\}?|\\dot\s*\{?(\d)\}?|(\d)\u0305)")
_POWER_OF_TEN = re.compile(r"^10\s*(?:\^|\*\*)\s*\{?\(?([-+]?\d+)\)?\}?")
_DECIMAL = re.compile(rf"^({_DIGITS})")
_PERCENT = re.compile(r"^(?:\\?%|percent(?:age)?(?:\s+points?)?\b|per\s+cent\b|pct\b)", re.IGNORECASE)
_CURRENCY = re.compile(r"^([-+]?)\s*\\?([$€£¥])\s*")
_CODES = re.compile(r"^(USD|US\$|EUR|GBP|JPY)\s*")
_SYMBOLS = {"USD": "$", "US$": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
_CIRCUMSTANCE = re.compile(  # "42 students in the class", "18 dollars every day"
    r"\s*\b(?:(?:in|at|on|every|from|with|for|that)\s+[^\W\d_]{2,}\D*|left|remaining|altogether|overall)$",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[a-zA-Z]")
_RESTATED = re.compile(r"^(.+?)(?:,?\s+or\s+|,\s*|\s*≈\s*|\s*\\approx\s*|\s+\()(?:about\s+|approximately\s+)?(.+?)\)?$")
_ONES = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen",
)
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_NUMBER_WORDS = {word: number for number, word in enumerate(_ONES)}
_NUMBER_WORDS |= {word: 10 * number for number, word in enumerate(_TENS, 2)}
_NUMBER_WORDS |= {f"{tens}-{one}": _NUMBER_WORDS[tens] + _NUMBER_WORDS[one] for tens in _TENS for one in _ONES[1:10]}
_PARTS = {
    "half": 2,
    "halve": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "eighth": 8,
    "tenth": 10,
}
_MANY = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_SPELLED = re.compile(
    rf"^(?P<number>{'|'.join(sorted(_NUMBER_WORDS, key=len, reverse=True))}"
    rf"|an?(?=[\s-]+(?:{'|'.join([*_PARTS, *_MANY])})\b))\b"
    rf"(?P<half>\s+and\s+a\s+half\b)?(?:[\s-]+(?P<part>{'|'.join(_PARTS)})s?\b)?",
    re.IGNORECASE,
)
_MULTIPLIER = re.compile(rf"^({'|'.join(_MANY)})s?\b(?:\s+of\b)?", re.IGNORECASE)


@dataclass(frozen=True)
class Quantity:
    """A number as it is written.

    Attributes:
        value: the number, exactly.
        places: number of decimal places; None if the number is exact (an integer, a fraction).
        percent: whether a percent sign follows.
        unit: what is counted or measured, if stated.
        maybe_variable: whether the unit is one letter right behind the number: "3m" may be three times m.

    """

    value: Fraction
    places: int | None = None
    percent: bool = False
    unit: Unit = NO_UNIT
    maybe_variable: bool = False


def read_quantity(text: str) -> Quantity | None:
    """Return the number that a text is, with its unit; None for any other text. `text` comes from `unassigned`.

    Reads integers, decimals, grouped thousands, fractions, mixed numbers, percentages, scientific notation, amounts of
    money, numbers below a hundred, their parts and multiples in words, and sums such as "1 hour 30 minutes".
    """
    text = text.strip()
    if not text or len(text) > LONGEST_NUMBER:
        return None
    return _one_amount(text) or _sum_of_amounts(text)


def _sum_of_amounts(text: str) -> Quantity | None:
    """Return the sum of amounts of one kind in smaller and smaller units: "5 ft 6 in", "2 dollars and 5 cents"."""
    parts = [_one_amount(part) for part in re.split(r"(?:\s+and|,)?\s+(?=\d)", text)]
    units = [part.unit for part in parts if part]
    kinds, sizes = {unit.measures for unit in units}, [unit.size for unit in units]
    if not 1 < len(parts) == len(units) or len(kinds) > 1 or any(small >= size for size, small in pairwise(sizes)):
        return None
    return Quantity(sum((part.value * part.unit.size for part in parts if part), Fraction(0)) / sizes[0], unit=units[0])


def _one_amount(text: str) -> Quantity | None:
    text = _GROUPED_OTHERWISE.sub(
        lambda match: re.sub(r"[.,]", "", match[0]), _with_point(unicodedata.normalize("NFKC", text))
    )
    text = re.sub(r"^\{(.*)\}$", r"\1", text) if re.fullmatch(r"\{[-+\d./ ]+\}", text) else text
    text = re.sub(r"^(\w+)\s+(?:out\s+of|in)\s+(\d+)$", r"\1/\2", text)
    text = re.sub(r"^(?:negative|minus)\s+", "-", _CODES.sub(lambda match: _SYMBOLS[match[1]], text))
    currency = _CURRENCY.match(text)
    if currency:
        text = currency[1] + text[currency.end() :]
    text = re.sub(r"^(?:about|approximately|roughly|exactly|around|≈|~)\s*", "", text, flags=re.IGNORECASE)
    text = _in_figures(text)
    sign = -1 if text.startswith("-") else 1
    text = _GROUPED.sub(lambda match: match[1] + re.sub(r"\D", "", match[2]), text.lstrip("+-").lstrip())
    number = _number(text)
    if number is None:
        return None
    value, places, length = number
    rest = _CIRCUMSTANCE.sub("", text[length:].strip())
    percent = _PERCENT.match(rest)
    if percent:
        rest, value, places = rest[percent.end() :].strip(), value / 100, None if places is None else places + 2
    if multiplier := _MULTIPLIER.match(rest):
        value, rest = value * _MANY[multiplier[1].lower()], rest[multiplier.end() :].strip()
        places = None if places is None else max(0, places - 2)
    unit = read_unit(f"{currency[2]} {rest if rest.lower() not in ('usd', 'dollars') else ''}" if currency else rest)
    if unit is None or (rest and not percent and not _sounds_like_unit(rest)):
        return None
    return Quantity(sign * value, places, bool(percent), unit, bool(_LETTER.fullmatch(text, length)))


def _in_figures(text: str) -> str:
    """Return a text with the number word that it begins with in figures: "forty-two", "a million", "two and a half"."""
    found = _SPELLED.match(text)
    if not found:
        return text
    number, half, part = found["number"].lower(), found["half"], (found["part"] or "").lower().rstrip("s")
    value = Fraction(1 if number in ("a", "an") else _NUMBER_WORDS[number])
    value = value + Fraction(1, 2) if half else value * Fraction(1, _PARTS[part]) if part else value
    return f"{value}{text[found.end() :]}"


def _with_point(text: str) -> str:
    """Return a text whose number may have a decimal comma with a point instead; "1,2" is a list, and stays one."""
    if found := _DECIMAL_COMMA.match(text):
        return re.sub(r"[., ]", "", found[0]) + "." + text[found.end() :]
    return text


def restated(text: str) -> str:
    """Return the first of two notations of one number ("3/8 (0.375)", "3/8, or 37.5%"); other texts unchanged."""
    both = _RESTATED.match(text) if len(text) <= LONGEST_NUMBER else None
    if both is None:
        return text
    first, second = read_quantity(both[1]), read_quantity(both[2])
    if first is None or second is None:
        return text
    precision = 10 ** max(second.places or 0, 0)
    return both[1] if abs(first.value - second.value) * 2 * precision <= 1 and second.places else text


def _repeated(match: re.Match[str]) -> tuple[Fraction, None, int]:
    """Return the value of a decimal with a repeating end: "0.1\\overline{6}" is 1/6."""
    whole, fixed, repeating = match[1] or "0", match[2] or "", match[3] or match[4] or match[5]
    value = Fraction(int(whole + fixed), 10 ** len(fixed))
    return value + Fraction(int(repeating), 10 ** len(fixed) * (10 ** len(repeating) - 1)), None, match.end()


def _number(text: str) -> tuple[Fraction, int | None, int] | None:
    """Return value, decimal places and length of the number at the start of a text; None without one."""
    if match := _REPEATED.match(text):
        return _repeated(match)
    if match := _FRACTION.match(text):
        top, bottom = int(match[2] or match[3]), int(match[4] or match[5])
        return (int(match[1] or 0) + Fraction(top, bottom), None, match.end()) if bottom else None
    if match := _SLASHED.match(text):
        bottom_value = Fraction(match[3])
        return (int(match[1] or 0) + Fraction(match[2]) / bottom_value, None, match.end()) if bottom_value else None
    if match := _SCIENTIFIC.match(text):
        exponent = int(match[2])
        if abs(exponent) > LARGEST_EXPONENT:
            return None
        return Fraction(match[1]) * Fraction(10) ** exponent, _places(match[1], exponent), match.end()
    if (match := _POWER_OF_TEN.match(text)) and abs(int(match[1])) <= LARGEST_EXPONENT:
        return Fraction(10) ** int(match[1]), None, match.end()
    if match := _DECIMAL.match(text):
        return Fraction(match[1]), _places(match[1]), match.end()
    return None


def _places(digits: str, exponent: int = 0) -> int | None:
    _, point, decimals = digits.partition(".")
    return len(decimals) - exponent if point and decimals else None


def _sounds_like_unit(rest: str) -> bool:
    """Return whether the text after a number may be its unit: symbols in the table, or words of over two letters."""
    names = re.findall(r"[^\W\d_]+|[°$€£¥¢Ω℃℉][CF]?", rest)
    if not names or all(is_known(name) for name in names):
        return bool(names)
    plain_words = re.fullmatch(r"[^\W\d_]+(?:(?:\s+|\s*/\s*|-)[^\W\d_]+)*", rest)
    return bool(plain_words) and all(is_known(name) or len(name) > 2 or name == "of" for name in names)


def split_unit(text: str) -> tuple[str, Unit]:
    """Split a formula from the unit after it ("12\\pi cm²"), which must be in the table; NO_UNIT without one."""
    head, _, last = text.rpartition(" ")
    name = re.sub(r"[\^{}()\d-].*", "", last).partition("/")[0]
    unit = read_unit(last) if head and len(name) > 1 and is_known(name) else None
    return (head.strip(), unit) if unit else (text, NO_UNIT)


def close(one: Fraction, other: Fraction, places: int | None, other_places: int | None) -> bool:
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
