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
_NAME = re.compile(r"^\s*([a-zA-Z](?:_\{?\w+\}?)?)(?:\(\w\))?\s*=")
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


LONGEST_NUMBER = 60  # characters; longer digits are compared as text
LARGEST_EXPONENT = 300  # of ten; beyond it a number is compared as text, never computed

_SPACES = re.compile(
    r"(?<!\\)\\[,;:!> ]|~|\\q?quad\b|\\(?:left|right|displaystyle|[bB]ig[lr]?|limits)(?![a-zA-Z])"
    r"|\\\\$|[\u00a0\u2009\u202f]"
)
_WORDS_IN_LATEX = re.compile(
    r"\\(?:text|textnormal|textrm|textbf|textit|mathrm|mathbf|mathit|operatorname|mbox|rm|bf)\s*\{((?:[^{}]|\{[^{}]*\})*)\}"
)
_GROUPED = re.compile(r"(?<![\d.,])(\d{1,3})((?:[, _]\d{3})+)(?![\d,])")
_DECIMAL_COMMA = re.compile(
    r"^[-+]?(?:0|\d{4,}|\d{1,3}(?:[. ]\d{3})+),(?=\d{1,6}(?![\d,]))|^[-+]?\d{1,3},(?=\d{2}\s*[€$£])"
)
_GROUPED_OTHERWISE = re.compile(r"^[-+]?\d{1,3}(?:\.\d{3}){2,}(?![\d.])|^[-+]?\d{1,2}(?:,\d{2})+,\d{3}(?![\d,])")
_SUPERSCRIPT = re.compile(r"[⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_SUBSCRIPTS = {0x2080 + digit: f"_{digit}" for digit in range(10)}
_DIGITS = r"(?:\d+(?:\.\d*)?|\.\d+)"
_FRACTION = re.compile(r"^(?:(\d+)\s*)?\\frac\s*(?:\{\s*([-+]?\d+)\s*\}|(\d))\s*(?:\{\s*([-+]?\d+)\s*\}|(\d))")
_SLASHED = re.compile(rf"^(?:(\d+)\s+)?({_DIGITS})\s*/\s*({_DIGITS})")
_SCIENTIFIC = re.compile(
    rf"^({_DIGITS})\s*(?:[eE]|(?:\*|×|\\times|\\cdot|·)\s*10\s*(?:\^|\*\*)\s*)\{{?\(?([-+]?\d+)\)?\}}?"
)
_REPEATED = re.compile(r"^(\d{0,20})\.(\d{0,20}?)(?:\\overline\s*\{?(\d{1,20})\}?|\\dot\s*\{?(\d)\}?|(\d)\u0305)")
_POWER_OF_TEN = re.compile(r"^10\s*(?:\^|\*\*)\s*\{?\(?([-+]?\d+)\)?\}?")
_DECIMAL = re.compile(rf"^({_DIGITS})")
_ASSIGNED = re.compile(r"^\s*\\?[^\W\d_]+(?:_\{?\w+\}?)?(?:\([^()=]{1,16}\))?\s*(?:=|≈|\\approx)\s*(?=[^=])")
_NAME_ALONE = re.compile(
    r"\\?(?!(?:sin|cos|tan|cot|sec|csc|arc\w+|ln|log|exp|sqrt|frac)\b)(?:[^\W\d_]|[^\W\d_]{3,})'{0,2}(?:_\{?\w+\}?|\^\{\(?\w\)?\})?'{0,2}(?:\s*\([^()]{1,24}\))?"
    r"|\\[A-Za-z]+\s+\w(?:_\{?\w+\}?)?|\w_\{[^{}]{1,12}\}|\|?[A-Z]{1,3}\|?(?:\s*[:/]\s*[A-Z]{1,3})?"
    r"|\w(?:_\{?\w+\}?)?\s*:\s*\w(?:_\{?\w+\}?)?|\\frac\s*\{[A-Z]{1,3}\}\s*\{[A-Z]{1,3}\}"
    r"|\w\^[{(]*-1[)}]*\s*\(\s*\w\s*\)|\\frac\s*\{d\^?\d?\s*\w*\}\s*\{d\w+(?:\^\d)?\}|d\w/d\w"
)
_EQUALS = re.compile(r"(?<![<>!:=\\])(?:=|≈|\\approx(?![a-z]))(?!=)")
_CONSTANTS = re.compile(r"\\[a-zA-Z]+|\b(?:sqrt|sin|cos|tan|log|ln|exp|pi|e|C)\b|(?<![a-zA-Z])e(?=\^)|π")
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
_PERCENT = re.compile(r"^(?:\\?%|percent(?:age)?(?:\s+points?)?\b|per\s+cent\b|pct\b)", re.IGNORECASE)
_CURRENCY = re.compile(r"^([-+]?)\s*\\?([$€£¥])\s*")
_CODES = re.compile(r"^(USD|US\$|EUR|GBP|JPY)\s*")
_SYMBOLS = {"USD": "$", "US$": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}
_CIRCUMSTANCE = re.compile(  # "42 students in the class", "18 dollars every day"
    r"\s*\b(?:(?:in|at|on|every|from|with|for|that)\s+[^\W\d_]{2,}\D*|left|remaining|altogether|overall)$",
    re.IGNORECASE,
)
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
_PARTS = {"half": 2, "halve": 2, "third": 3} | {
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "eighth": 8,
    "tenth": 10,
}
_SPELLED = re.compile(
    rf"^(?P<number>{'|'.join(sorted(_NUMBER_WORDS, key=len, reverse=True))}|an?(?=[\s-]+(?:half|third|quarter|fourth|"
    r"fifth|sixth|eighth|tenth|hundred|thousand|million|billion|dozen)\b))\b"
    r"(?P<half>\s+and\s+a\s+half\b)?(?:[\s-]+(?P<part>half|halves|thirds?|quarters?|fourths?|fifths?|sixths?|eighths?|"
    r"tenths?)\b)?",
    re.IGNORECASE,
)
_MULTIPLIERS = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
_MULTIPLIER = re.compile(rf"^({'|'.join(_MULTIPLIERS)})s?\b(?:\s+of\b)?", re.IGNORECASE)
_SYMBOL = re.compile(r"(?!(?:yes|no)$)[A-Za-z]{2,3}", re.IGNORECASE)  # CO is not Co
_ARTICLE = re.compile(r"^\s*(?:the|an?)\b")


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
    text = re.sub(r"\$([^$]+)\$", r"\1", text) if text.count("$") % 2 == 0 else text
    text = re.sub(r"\$(?!\s*\d)|(?<=\d)\$|\\[()\[\]]", "", text) if text.count("$") != 1 else text
    text = re.sub(r",\\!\s*", ",", text.replace("{,}", ",")).replace("\\!", "")
    text = _SPACES.sub(" ", text)
    text = _WORDS_IN_LATEX.sub(r" \1 ", text)
    text = re.sub(r"\\[dtc]frac(?![a-z])", r"\\frac", text)
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?|\\degree(?![a-z])", "°", text)
    text = text.translate(_SUBSCRIPTS)
    text = _SUPERSCRIPT.sub(lambda match: "^{" + match[0].translate(_SUPERSCRIPTS) + "}", text)
    text = text.replace("**", "^") if re.search(r"[\w)]\s*\*\*\s*[\w(]", text) else text.replace("**", "")
    text = re.sub(r"(?<=[a-z])\s+(?=\^)", "", text)
    text = re.sub(r"\\[pb]?mod\s*\{?(\w+)\}?", r"(mod \1)", text).replace("\\equiv", "≡")
    text = re.sub(r"(?<=[\d ])\\frac\s*\{\s*([A-Za-z]+)\s*\}\s*\{\s*([A-Za-z]+)\s*\}", r" \1/\2", text)
    text = re.sub(r"\b([apAP])\.?([mM])\b\.?(?=$|[\s,])", lambda m: (m[1] + m[2]).lower(), text)
    text = re.sub(r"\\[lr]angle(?![a-z])", lambda match: "(" if match[0] == "\\langle" else ")", text)
    text = re.sub(r"^\(([A-Za-z])\)$", r"\1", re.sub(r"\s+", " ", text).strip().strip('`"“”').rstrip(".,;"))
    return text


def unassigned(text: str) -> str:
    """Return the value in "x = 5", "f(x) = 5", "2 + 3 = 5" and "x = 2 + 3 = 5"; other equations unchanged."""
    sides = _sides(text)
    if len(sides) < 2 or (len(sides) > 2 and re.search(r",|\b(?:or|and)\b", text)):
        return text.strip()
    if len(sides) > 2:
        return sides[-1]
    evaluated = _is_constant(sides[0]) and _is_constant(sides[-1])
    return sides[-1] if evaluated or _NAME_ALONE.fullmatch(sides[0]) else text.strip()


def is_equation(text: str) -> bool:
    """Return whether a text has two sides with an equals sign between them, outside of brackets."""
    return len(_sides(text)) == 2 and all(_sides(text)) and "," not in text


def _sides(text: str) -> list[str]:
    """Split a text at the equals signs outside of its brackets."""
    sides, start = [], 0
    for sign in _EQUALS.finditer(text):
        side = text[start : sign.start()]
        if sum(side.count(one) for one in "([{") == sum(side.count(one) for one in ")]}"):
            sides.append(side.strip())
            start = sign.end()
    return [*sides, text[start:].strip()]


def _is_constant(text: str) -> bool:
    """Return whether a formula has no variable: "2 + 3", "\\log_3(27)", "\\sqrt{16}"."""
    return bool(text) and not re.search(r"[^\W\d_]", _CONSTANTS.sub("", text))


def read_time(text: str) -> str | None:
    """Return a time of day in 24 hours, such as 19:30 for "7:30 pm"; None for any other text."""
    found = _TIME.fullmatch(text)
    if not found or not (found[3] or ":" in text) or int(found[1]) > 23 or int(found[2] or 0) > 59:
        return None
    half = (found[3] or "").lower()[:1]
    hour = int(found[1]) % 12 + 12 * (half == "p") if half else int(found[1])
    return f"{hour}:{int(found[2] or 0):02}"


def read_digits(text: str) -> str | None:
    """Return a number in another base as "1f base 16", or rows of numbers; None for any other text."""
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


def squeezed(text: str) -> str:
    """Return a formula without spaces, subscript marks, and braces around one sign. `text` comes from `plain`."""
    return re.sub(r"\{(\w)\}", r"\1", re.sub(r"\s+|(?<=[^\W\d_])_", "", text))


def words(text: str) -> str:
    """Return the words of a text without case, punctuation, articles and markdown, with accents."""
    bare = re.sub(r"\s+\((?!mod\b)[^()]*\)$", "", plain(text))
    bare = re.sub(r"^((?:[A-Z][\w.'-]*\s+)+[A-Z][\w'-]*),\s+(?:the|an?|who|whose)\s.*$", r"\1", bare)
    bare = unicodedata.normalize("NFKC", bare).strip()
    folded = without_case(bare)
    folded = re.sub(r"(?<=\d),(?=\d{3}\b)", "", folded)
    folded = re.sub(r"[^\w+\-/*^=<>|%.°]|(?<!\d)\.|\.(?!\d)|(?<!\w)-|-(?!\w)|_", " ", folded)
    bare = _ARTICLE.sub(" ", folded)
    return " ".join((bare if bare.split() else folded).split())


def without_case(text: str) -> str:
    """Return a text in small letters; of a symbol of two or three letters, such as CO or Co, only the first one."""
    return text[:1].lower() + text[1:] if _SYMBOL.fullmatch(text) else text.casefold()


def all_words(text: str) -> str:
    """Return all words and signs of a text without case, punctuation and spacing: what an unmarked reply is."""
    return " ".join(re.findall(r"\w+|[^\w\s.,;:!?'\"*_`#]", unicodedata.normalize("NFKC", text).casefold()))


def read_quantity(text: str) -> Quantity | None:
    """Return the number that a text is, with its unit; None for any other text. `text` comes from `unassigned`.

    Reads integers, decimals, grouped thousands, fractions, mixed numbers, percentages, scientific notation, amounts of
    money, and numbers up to twenty as words.
    """
    text = text.strip()
    if not text or len(text) > LONGEST_NUMBER:
        return None
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
    rest = text[length:].strip()
    rest = _CIRCUMSTANCE.sub("", rest)
    percent = _PERCENT.match(rest)
    if percent:
        rest, value, places = rest[percent.end() :].strip(), value / 100, None if places is None else places + 2
    if multiplier := _MULTIPLIER.match(rest):
        value, rest = value * _MULTIPLIERS[multiplier[1].lower()], rest[multiplier.end() :].strip()
        places = None if places is None else max(0, places - 2)
    unit = read_unit(f"{currency[2]} {rest if rest.lower() not in ('usd', 'dollars') else ''}" if currency else rest)
    if unit is None or (rest and not percent and not _sounds_like_unit(rest)):
        return None
    return Quantity(sign * value, places, bool(percent), unit)


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


def _vulgar(match: re.Match[str]) -> str:
    numerator, _, denominator = unicodedata.normalize("NFKC", match[0]).partition("⁄")
    return f" {numerator}/{denominator}"


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
