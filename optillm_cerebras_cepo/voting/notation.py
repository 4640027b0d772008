"""Read a short text as a number with its unit, as several numbers, or as bare words.

Most answers are numbers or words, which are read exactly here. Only other formulas need algebra.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction

from optillm_cerebras_cepo.voting.units import NO_UNIT, Unit, is_known, read_unit

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
        elements: the numbers, in their order.

    """

    brackets: str
    elements: tuple[Fraction, ...]

    def same(self, other: Bracketed) -> bool:
        """Return whether both are the same point, interval or set. A list without brackets may be a set or a point."""
        kinds = {self.brackets, other.brackets}
        if kinds <= {"", "{}"}:
            return set(self.elements) == set(other.elements)
        return self.elements == other.elements and (len(kinds) == 1 or "" in kinds)


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
    values = tuple(number.value for number in numbers if number is not None and not number.unit)
    return Bracketed(brackets, values) if len(values) == len(parts) else None


LONGEST_NUMBER = 60  # characters; longer digits are compared as text
LARGEST_EXPONENT = 300  # of ten; beyond it a number is compared as text, never computed

_SPACES = re.compile(
    r"(?<!\\)\\[,;:!> ]|~|\\q?quad\b|\\(?:left|right|displaystyle|[bB]ig[lr]?|limits)(?![a-zA-Z])"
    r"|\\\\$|[\u00a0\u2009\u202f]"
)
_WORDS_IN_LATEX = re.compile(
    r"\\(?:text|textrm|textbf|textit|mathrm|mathbf|mathit|operatorname|mbox|rm|bf)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_GROUPED = re.compile(r"(?<![\d.,])(\d{1,3})((?:[, _]\d{3})+)(?![\d,])")
_SUPERSCRIPT = re.compile(r"[⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_SUBSCRIPTS = {0x2080 + digit: f"_{digit}" for digit in range(10)}
_DIGITS = r"(?:\d+(?:\.\d*)?|\.\d+)"
_FRACTION = re.compile(r"^(?:(\d+)\s*)?\\frac\s*(?:\{\s*([-+]?\d+)\s*\}|(\d))\s*(?:\{\s*([-+]?\d+)\s*\}|(\d))")
_SLASHED = re.compile(rf"^(?:(\d+)\s+)?({_DIGITS})\s*/\s*({_DIGITS})")
_SCIENTIFIC = re.compile(
    rf"^({_DIGITS})\s*(?:[eE]|(?:\*|×|\\times|\\cdot|·)\s*10\s*(?:\^|\*\*)\s*)\{{?\(?([-+]?\d+)\)?\}}?"
)
_POWER_OF_TEN = re.compile(r"^10\s*(?:\^|\*\*)\s*\{?\(?([-+]?\d+)\)?\}?")
_DECIMAL = re.compile(rf"^({_DIGITS})")
_ASSIGNED = re.compile(r"^\s*\\?[^\W\d_]+(?:_\{?\w+\}?)?(?:\([^()=]{1,16}\))?\s*(?:=|≈|\\approx)\s*(?=[^=])")
_PERCENT = re.compile(r"^(?:\\?%|percent\b|per\s+cent\b)", re.IGNORECASE)
_CURRENCY = re.compile(r"^([-+]?)\s*\\?([$€£])\s*")
_CIRCUMSTANCE = re.compile(  # "42 students in the class", "18 dollars every day"
    r"\s*\b(?:(?:in|at|on|every|from|with|for|that)\s+[^\W\d_]{2,}.*|left|remaining|altogether|overall)$", re.IGNORECASE
)
_RESTATED = re.compile(r"^(.+?)(?:,?\s+or\s+|,\s*|\s*≈\s*|\s*\\approx\s*|\s+\()(?:about\s+|approximately\s+)?(.+?)\)?$")
_NUMBER_WORDS = {
    word: number
    for number, word in enumerate(
        re.findall(
            r"\w+",
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen twenty",
        )
    )
}
_ARTICLES = re.compile(r"\b(?:the|an?)\b")


@dataclass(frozen=True)
class Quantity:
    """A number as it is written.

    Attributes:
        value: the number, exactly.
        places: number of decimal places; None if the number is exact (an integer, a fraction).
        percent: whether a percent sign follows.
        unit: what is counted or measured, if stated.

    """

    value: Fraction
    places: int | None = None
    percent: bool = False
    unit: Unit = NO_UNIT


def plain(text: str) -> str:
    """Return a text without LaTeX's spacing and fonts, with one spelling of each sign; formulas stay formulas."""
    text = unicodedata.normalize("NFC", text).replace("−", "-").replace("–", "-").replace("⁄", "/")
    text = re.sub(r"[½⅓⅔¼¾⅕⅛⅜⅝⅞]", _vulgar, text)
    text = re.sub(r"\$(?!\s*\d)|(?<=\d)\$|\\[()\[\]]", "", text) if text.count("$") != 1 else text
    text = text.replace("{,}", ",").replace("\\!", "")
    text = _SPACES.sub(" ", text)
    text = _WORDS_IN_LATEX.sub(r" \1 ", text)
    text = re.sub(r"\\[dtc]frac(?![a-z])", r"\\frac", text)
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-z])", "°", text)
    text = text.translate(_SUBSCRIPTS)
    text = _SUPERSCRIPT.sub(lambda match: "^{" + match[0].translate(_SUPERSCRIPTS) + "}", text)
    text = text.replace("**", "^") if re.search(r"[\w)]\*\*[\w(]", text) else text.replace("**", "")
    text = re.sub(r"\\[pb]?mod\s*\{?(\w+)\}?", r"(mod \1)", text).replace("\\equiv", "≡")
    text = re.sub(r"(?<=[\d ])\\frac\s*\{\s*([A-Za-z]+)\s*\}\s*\{\s*([A-Za-z]+)\s*\}", r" \1/\2", text)
    text = re.sub(r"\b([apAP])\.?([mM])\b\.?(?=$|[\s,])", lambda m: (m[1] + m[2]).lower(), text)
    return re.sub(r"\s+", " ", text).strip().strip('`"“”').rstrip(".,;")


def unassigned(text: str) -> str:
    """Return the value in "x = 5", "f(x) = 5", "2 + 3 = 5" and "x = 2 + 3 = 5"; other equations unchanged."""
    sides = re.split(r"(?<![<>!:\\=])(?:=|≈|\\approx)(?!=)", text)
    if len(sides) > 2 and re.search(r",|\b(?:or|and)\b", text):
        return text
    if len(sides) > 2 or (len(sides) == 2 and re.fullmatch(r"[\d\s.+\-*/×·()^]+", sides[0])):
        return sides[-1].strip()
    return _ASSIGNED.sub("", text, count=1).strip()


def squeezed(text: str) -> str:
    """Return a formula without spaces, subscript marks, and braces around one sign. `text` comes from `plain`."""
    return re.sub(r"\{(\w)\}", r"\1", re.sub(r"[\s_]+", "", text))


def words(text: str) -> str:
    """Return the words of a text without case, punctuation, articles and markdown, with accents."""
    bare = re.sub(
        r"\s+\((?!mod\b)[^()]*\)$|,\s+(?:the|an?|who|whose)\s.*$", "", plain(text)
    )  # "Ada Lovelace, the mathematician"
    folded = unicodedata.normalize("NFKC", bare).casefold()
    folded = re.sub(r"(?<=\d),(?=\d{3}\b)", "", folded)
    folded = re.sub(r"[^\w+\-/*^=<>|%.°]|(?<!\d)\.|\.(?!\d)|(?<!\w)-|-(?!\w)|_", " ", folded)
    bare = _ARTICLES.sub(" ", folded)
    return " ".join((bare if bare.split() else folded).split())


def read_quantity(text: str) -> Quantity | None:
    """Return the number that a text is, with its unit; None for any other text. `text` comes from `unassigned`.

    Reads integers, decimals, grouped thousands, fractions, mixed numbers, percentages, scientific notation, amounts of
    money, and numbers up to twenty as words.
    """
    text = text.strip()
    if not text or len(text) > LONGEST_NUMBER:
        return None
    text = re.sub(r"^\{(.*)\}$", r"\1", text) if re.fullmatch(r"\{[-+\d./ ]+\}", text) else text
    text = re.sub(r"^(?:USD|US\$)\s*", "$", re.sub(r"^(\d+)\s+out\s+of\s+(\d+)$", r"\1/\2", text))
    currency = _CURRENCY.match(text)
    if currency:
        text = currency[1] + text[currency.end() :]
    text = re.sub(r"^(?:about|approximately|roughly|exactly|around|≈|~)\s*", "", text, flags=re.IGNORECASE)
    first, _, rest = text.partition(" ")
    if first.lower() in _NUMBER_WORDS:
        text = f"{_NUMBER_WORDS[first.lower()]} {rest}"
    sign = -1 if text.startswith("-") else 1
    text = _GROUPED.sub(lambda match: match[1] + re.sub(r"\D", "", match[2]), text.lstrip("+-").lstrip())
    number = _number(text)
    if number is None:
        return None
    value, places, length = number
    rest = text[length:].strip()
    rest = _CIRCUMSTANCE.sub("", rest)
    percent = _PERCENT.match(rest)
    if percent:
        rest, value, places = rest[percent.end() :].strip(), value / 100, None if places is None else places + 2
    unit = read_unit(f"{currency[2]} {rest if rest.lower() not in ('usd', 'dollars') else ''}" if currency else rest)
    if unit is None or (rest and not percent and not _sounds_like_unit(rest)):
        return None
    return Quantity(sign * value, places, bool(percent), unit)


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


def _number(text: str) -> tuple[Fraction, int | None, int] | None:
    """Return value, decimal places and length of the number at the start of a text; None without one."""
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
    names = re.findall(r"[^\W\d_]+|[°$€£¢Ω℃℉][CF]?", rest)
    if not names or all(is_known(name) for name in names):
        return bool(names)
    plain_words = re.fullmatch(r"[^\W\d_]+(?:(?:\s+|\s*/\s*|-)[^\W\d_]+)*", rest)
    return bool(plain_words) and all(is_known(name) or len(name) > 2 or name == "of" for name in names)


def _vulgar(match: re.Match[str]) -> str:
    numerator, _, denominator = unicodedata.normalize("NFKC", match[0]).partition("⁄")
    return f" {numerator}/{denominator}"


def split_unit(text: str) -> tuple[str, Unit]:
    """Split a formula from the unit after it ("12\\pi cm²"), which must be in the table; NO_UNIT without one."""
    head, _, last = text.rpartition(" ")
    name = re.sub(r"[\^{}()\d-].*", "", last).partition("/")[0]
    unit = read_unit(last) if head and len(name) > 1 and is_known(name) else None
    return (head.strip(), unit) if unit else (text, NO_UNIT)
