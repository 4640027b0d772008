"""Compare two formulas by sympy and math_verify. `algebra_child.py` runs it, in a process that can be ended.

Formulas are parsed as LaTeX by a grammar: no text is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import sympy  # type: ignore[import-untyped]  # it ships no types, nor does math_verify
from latex2sympy2_extended import NormalizationConfig, latex2sympy  # type: ignore[import-untyped]
from latex2sympy2_extended.latex2sympy2 import ConversionConfig  # type: ignore[import-untyped]
from math_verify import verify  # type: ignore[import-untyped]
from math_verify.grader import should_treat_as_complex  # type: ignore[import-untyped]

from optillm_cerebras_cepo.voting.formulas import FUNCTIONS, LETTERS

# math_verify's own parsing drops the last letter of 2 + 3t as a unit, and takes R for r.
_AS_WRITTEN = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none", equations=False
)
_BY_CASE = ConversionConfig(lowercase_symbols=False)
_POINTS = (sympy.Rational(377, 610), sympy.Rational(1597, 987), sympy.Rational(89, 34))  # arbitrary
_NEGATIVE = (sympy.Rational(-377, 987), sympy.Rational(-1597, 610))
_EQUATION = re.compile(r"(?<![<>!:=\\])=(?!=)")
_FUNCTIONS = re.compile(rf"(?<![\\a-zA-Z])({FUNCTIONS}|{LETTERS}|infty)(?![a-zA-Z])")
_SIGNS = {
    "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "<=": r"\le ", ">=": r"\ge ", "∪": r"\cup ",
    "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "·": r"\cdot ", "×": r"\times ", "÷": "/", "≠": r"\ne ", "θ": r"\theta ",
}  # fmt: skip
_TRIGONOMETRY = re.compile(r"sin|cos|tan|cot|sec|csc")
_POWER_IN_PARENTHESES = re.compile(r"\^\s*\(((?:[^()]|\([^()]*\))*)\)")
_DECIMAL = re.compile(r"-?\d*\.(\d{3,})")


def formula(text: str) -> str:
    """Return LaTeX for a formula, which may be written as in a program or in Unicode ("sqrt(2)*x**10", "3√2")."""
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    text = re.sub(r"(\d+(?:\.\d+)?)\s*°", r"(\\frac{\1\\pi}{180})" if _TRIGONOMETRY.search(text) else r"\1", text)
    text = text.replace("**", "^").replace("*", r"\cdot ").replace("°", "")
    text = re.sub(r"√\s*(\w+|\([^()]*\))", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<![\\a-zA-Z])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<![\\a-zA-Z])(?:oo|inf(?:inity)?)(?![a-zA-Z])", r"\\infty", text)
    text = re.sub(r"(?<![a-zA-Z])a(sin|cos|tan)(?![a-zA-Z])", r"arc\1", text)
    text = _FUNCTIONS.sub(r"\\\1", text)
    text = re.sub(r"(\\(?:ln|log|sin|cos|tan))\s+([a-zA-Z])(?![a-zA-Z({^_])", r"\1(\2)", text)
    text = re.sub(r"\\binom\s*(\w)\s*(\w)", r"\\binom{\1}{\2}", text)
    text = text.replace(r"\gamma", r"\eta ")  # math_verify's grammar drops it
    text = _POWER_IN_PARENTHESES.sub(r"^{\1}", text)
    text = re.sub(r"\^\s*(-?\d{2,}|-\w)", r"^{\1}", text)
    text = re.sub(r"\s+(?:and|or)\s+|\s*;\s*", ", ", text)
    return re.sub(r"^([a-zA-Z]\s*=\s*[^,=]+(?:,\s*[a-zA-Z]\s*=\s*[^,=]+)+)$", _solutions, text)


def equal(one: str, other: str) -> bool:
    """Return whether two formulas are equal. Raise whatever the parser and sympy raise, if one cannot be parsed."""
    if {_bracket(one), _bracket(other)} == {"(", "{"}:  # a point is not a set, but math_verify may say so
        return False
    if _EQUATION.search(one) and _EQUATION.search(other):
        return _same_equation(one, other)
    first, second = _parsed(one), _parsed(other)
    known = _numerically(first, second) if isinstance(first, sympy.Expr) and isinstance(second, sympy.Expr) else None
    if known is not None:
        return known or _rounds(one, second) or _rounds(other, first)
    return any(verify(a, b, timeout_seconds=None) for a, b in ((first, second), (second, first)))


def _bracket(text: str) -> str:
    return text.lstrip("\\ ")[:1]


def _parsed(text: str) -> Any:
    latex = formula(text)
    return latex2sympy(
        latex,
        is_real=not should_treat_as_complex(latex),
        convert_degrees=False,
        normalization_config=_AS_WRITTEN,
        conversion_config=_BY_CASE,
    )


def _same_equation(one: str, other: str) -> bool:
    """Return whether both sides are equal, or one equation is a multiple of the other, judged at a few points."""
    sides = [_parsed(side) for text in (one, other) for side in _EQUATION.split(text, maxsplit=1)]
    if not all(isinstance(side, sympy.Expr) for side in sides):
        return False
    if _numerically(sides[0], sides[2]) and _numerically(sides[1], sides[3]):
        return True  # also of an identity, such as (a+b)^2 = a^2+2ab+b^2, whose sides differ nowhere
    differences = sides[0] - sides[1], sides[2] - sides[3]
    symbols = set().union(*(side.free_symbols for side in sides))
    ratios = []
    for point in (*_POINTS, *_NEGATIVE):
        first, second = (sympy.N(side.subs(_place(symbols, point)).doit(), 30, maxn=200) for side in differences)
        if first.is_finite and second.is_finite and (abs(first) > 1e-12 or abs(second) > 1e-12):
            if abs(second) < 1e-12:
                return False
            ratios.append(first / second)
    return len(ratios) > 1 and all(abs(ratio - ratios[0]) <= 1e-12 * abs(ratios[0]) > 0 for ratio in ratios)


def _place(symbols: Collection[sympy.Symbol], point: sympy.Rational) -> dict[sympy.Symbol, sympy.Rational]:
    """Return a value for each symbol, all on one side of zero. Symbols of one name have one value."""
    names = sorted({symbol.name for symbol in symbols})
    values = {name: point + sympy.sign(point) * sympy.Rational(3 * place, 7) for place, name in enumerate(names)}
    return {symbol: values[symbol.name] for symbol in symbols}


def _numerically(one: sympy.Expr, other: sympy.Expr) -> bool | None:
    """Compare numbers exactly, other formulas at five fixed points; return None if the result is not clear.

    Different formulas hardly ever agree at such points. This takes a thousandth of the time of `simplify`. Points below
    zero count only where both formulas are real there.
    """
    symbols = one.free_symbols | other.free_symbols
    if not symbols:
        return _same_number(one.doit(), other.doit())
    if {symbol.name for symbol in symbols} == {"i"}:  # nothing that it could be an index of: the imaginary unit
        imaginary = dict.fromkeys(symbols, sympy.I)
        return _same_number(*(sympy.expand(side.subs(imaginary).doit()) for side in (one, other)))
    for point in _POINTS:
        verdict = _same_number(*(side.subs(_place(symbols, point)).doit() for side in (one, other)))
        if verdict is not True:
            return verdict
    for point in _NEGATIVE:
        values = [sympy.N(side.subs(_place(symbols, point)).doit(), 30, maxn=200) for side in (one, other)]
        if all(value.is_real and value.is_finite for value in values) and _same_number(*values) is False:
            return False
    return True


def _same_number(one: sympy.Expr, other: sympy.Expr) -> bool | None:
    """Return whether two numbers are equal: rational ones exactly, others to 20 digits; None if it is not clear."""
    if one.is_Rational and other.is_Rational:
        return bool(one == other)
    values = [sympy.N(side, 30, maxn=200) for side in (one, other)]
    if not all(value.is_number and value.is_finite for value in values):
        return None
    difference, size = abs(values[0] - values[1]), max(abs(value) for value in values)
    if difference <= size * sympy.Float("1e-20"):
        return True
    return False if size > sympy.Float("1e-25") and difference > size * sympy.Float("1e-12") else None


def _rounds(decimal: str, value: sympy.Expr) -> bool:
    """Return whether a decimal with at least three places is the other value, rounded to these places."""
    match = _DECIMAL.fullmatch(decimal.strip())
    if match is None or value.free_symbols or value.is_real is False:
        return False
    return bool(abs(sympy.N(value.doit(), 30) - sympy.Rational(decimal.strip())) * 2 * 10 ** len(match[1]) <= 1)


def _solutions(match: re.Match[str]) -> str:
    """Return several values of one unknown ("x = 1, x = 2") as a set; values of several unknowns unchanged."""
    sides = [part.split("=") for part in match[1].split(",")]
    if len({name.strip() for name, _ in sides}) > 1:
        return match[0]
    return r"\{" + ",".join(value.strip() for _, value in sides) + r"\}"
