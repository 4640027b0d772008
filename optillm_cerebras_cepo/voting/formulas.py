"""What a short text is as a formula: prose or not, an equation or a value, and whether algebra can be asked for it."""

from __future__ import annotations

import re

LONGEST = 300  # characters of a formula; a longer one is not compared
_TOWER = re.compile(r"\^\s*[{(]*\s*-?\s*\d+\s*(?:\^|!|\*\*)|\^\s*[{(]*\s*-?\s*\w+\s*\^\s*[{(]*\s*-?\s*\w+\s*\^")
_LARGE_POWER = re.compile(r"(?:\^|\*\*)\s*[{(]*\s*-?\s*\d{5,}")
_LARGE_FACTORIAL = re.compile(r"\d{5,}\s*!|!\s*!|\([^()a-zA-Z]*\)\s*!|[!^][^()]*\)\s*!")
_NESTED = re.compile(r"(?:[({\[]\s*){12}|(?:\\[a-z]+\s*\{\s*){8}")
_WORDS = re.compile(r"[^\W\d_]{3,}")
FUNCTIONS = "arcsin|arccos|arctan|asin|acos|atan|sin|cos|tan|cot|sec|csc|ln|log|exp|sqrt"  # alternatives of a pattern
LETTERS = "alpha|beta|gamma|delta|epsilon|theta|lambda|mu|pi|rho|sigma|tau|phi|omega"
_COMMANDS = re.compile(rf"\\(?:begin|end)\{{\w+\}}|\\[a-zA-Z]+|\b(?:{FUNCTIONS}|{LETTERS}|inf|infinity|infty|and)\b")
_INDEX = r"(?:_\{?\w+\}?)?"
_ABOUT = "|".join(  # what may stand before the equals sign of a value
    (
        rf"\\?(?!(?:{FUNCTIONS}|frac)\b)(?:[^\W\d_]|[^\W\d_]{{3,}})'{{0,2}}(?:_\{{?\w+\}}?|\^\{{\(?\w\)?\}})?'{{0,2}}"
        r"(?:\s*\([^()]{1,24}\))?",  # x, speed, f(x), y'
        rf"\\[A-Za-z]+\s+\w{_INDEX}|\w_\{{[^{{}}]{{1,12}}\}}",  # \Delta p, I_{\max}
        rf"\|?[A-Z]{{1,3}}\|?(?:\s*[:/]\s*[A-Z]{{1,3}})?|\w{_INDEX}\s*:\s*\w{_INDEX}",  # |AB|, V_1:V_2
        r"\\frac\s*\{[A-Z]{1,3}\}\s*\{[A-Z]{1,3}\}",  # \frac{AB}{CD}
        r"\w\^[{(]*-1[)}]*\s*\(\s*\w\s*\)",  # f^{-1}(x)
        r"\\frac\s*\{d\^?\d?\s*\w*\}\s*\{d\w+(?:\^\d)?\}|d\w/d\w",  # dy/dx
    )
)
_NAME_ALONE = re.compile(_ABOUT)
_EQUALS = re.compile(r"(?<![<>!:=\\])(?:=|≈|\\approx(?![a-z]))(?!=)")
_CONSTANTS = re.compile(rf"\\[a-zA-Z]+|\b(?:{FUNCTIONS}|pi|e|C)\b|(?<![a-zA-Z])e(?=\^)|π")


def is_formula(text: str) -> bool:
    """Return whether a text may be a formula that can be compared quickly: short, no prose, no tower of powers."""
    if not text or len(text) > LONGEST or text.count("{") != text.count("}"):
        return False
    if any(pattern.search(text) for pattern in (_TOWER, _LARGE_POWER, _LARGE_FACTORIAL, _NESTED)):
        return False
    return not is_prose(text) and bool(re.search(r"[\d\\^=+*/<>≤≥√π∞∪±]|\w\s*[-(]\s*\w|\binf\b", text))


def is_prose(text: str) -> bool:
    """Return whether a text contains a word of at least three letters that is no function's name."""
    return bool(_WORDS.search(_COMMANDS.sub(" ", text)))


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
