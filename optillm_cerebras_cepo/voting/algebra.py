"""Child process that compares two formulas with math_verify; a program of its own, because algebra may never end.

`algebra_process.py` starts it. Each line of input is a JSON array of two formulas. Each line of output is `true`,
`false`, or `null` if the time was up. Formulas are parsed as LaTeX by a grammar: no text is evaluated.
"""

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from functools import lru_cache
from typing import Any

import sympy  # type: ignore[import-untyped]  # it ships no types, nor does math_verify
from math_verify import LatexExtractionConfig, parse, verify  # type: ignore[import-untyped]

READY = "ready"
CPU_SECONDS = 1.0  # for one comparison; CPU time, so that a busy machine changes no result
WALL_SECONDS = 10  # then the kernel ends the program, even if its parent is gone
MEMORY = 1 << 30  # bytes of address space; a number that needs more raises MemoryError

_LATEX = LatexExtractionConfig(boxed_match_priority=-1)
_POINTS = (sympy.Rational(377, 610), sympy.Rational(1597, 987), sympy.Rational(89, 34))  # arbitrary
_FUNCTIONS = re.compile(
    r"(?<![\\a-zA-Z])(arcsin|arccos|arctan|sin|cos|tan|cot|sec|csc|ln|log|exp|pi|infty|sqrt)(?![a-zA-Z])"
)
_SIGNS = {
    "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "<=": r"\le ", ">=": r"\ge ", "∪": r"\cup ",
    "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "·": r"\cdot ", "×": r"\times ", "÷": "/", "≠": r"\ne ", "θ": r"\theta ",
}  # fmt: skip
_DECIMAL = re.compile(r"-?\d*\.(\d{3,})")


class OutOfTime(BaseException):
    """The time is up. Not an Exception, because the algebra catches those."""


def formula(text: str) -> str:
    """Return LaTeX for a formula, which may be written as in a program or in Unicode ("sqrt(2)*x**10", "3√2")."""
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    text = text.replace("**", "^").replace("*", r"\cdot ").replace("°", "")
    text = re.sub(r"√\s*(\w+|\([^()]*\))", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<![\\a-zA-Z])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"(?<![\\a-zA-Z])(?:oo|inf(?:inity)?)(?![a-zA-Z])", r"\\infty", text)
    text = _FUNCTIONS.sub(r"\\\1", text)
    text = re.sub(r"\^\s*\(([^()]*)\)", r"^{\1}", text)
    text = re.sub(r"\^\s*(-?\d{2,}|-\w)", r"^{\1}", text)
    text = re.sub(r"\s+(?:and|or)\s+", ", ", text)
    return re.sub(r"^([a-zA-Z]\s*=\s*[^,=]+(?:,\s*[a-zA-Z]\s*=\s*[^,=]+)+)$", _solutions, text)


def equal(one: str, other: str) -> bool:
    """Return whether two formulas are equal; False if one of them cannot be parsed."""
    if {_bracket(one), _bracket(other)} == {"(", "{"}:  # a point is not a set, but math_verify may say so
        return False
    first, second = _parsed(one), _parsed(other)
    if first is None or second is None:
        return False
    known = _numerically(first, second) if isinstance(first, sympy.Expr) and isinstance(second, sympy.Expr) else None
    if known is not None:
        return known or _rounds(one, second) or _rounds(other, first)
    return any(verify(a, b, timeout_seconds=None) for a, b in ((first, second), (second, first)))


def _bracket(text: str) -> str:
    return text.lstrip("\\ ")[:1]


@lru_cache(maxsize=256)
def _parsed(text: str) -> Any:
    found = parse(f"${formula(text)}$", [_LATEX], fallback_mode="no_fallback", parsing_timeout=None)
    return found[0] if found else None


def _numerically(one: sympy.Expr, other: sympy.Expr) -> bool | None:
    """Compare at three fixed points with 30 digits; return None if the result is not clear.

    Different formulas hardly ever agree at such points. This takes a thousandth of the time of `simplify`.
    """
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    for number, point in enumerate(_POINTS if symbols else _POINTS[:1]):
        place = {symbol: point + sympy.Rational(3 * index, 7 + number) for index, symbol in enumerate(symbols)}
        values = [sympy.N(side.subs(place).doit(), 30, maxn=200) for side in (one, other)]
        if not all(value.is_number and value.is_finite for value in values):
            return None
        difference, size = abs(values[0] - values[1]), max(1, *(abs(value) for value in values))
        if not difference <= size * sympy.Float("1e-20"):
            return False if difference > size * sympy.Float("1e-12") else None
    return True


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


def main() -> None:
    """Answer each line of standard input."""
    logging.disable(logging.CRITICAL)
    _limit_memory()
    _answer(READY)
    for line in sys.stdin:
        try:
            _start_clock()
            result: bool | None = equal(*json.loads(line))
        except OutOfTime:
            result = None
        except Exception:
            result = False  # the algebra failed, or a number does not fit into memory
        finally:
            _stop_clock()
        _answer(json.dumps(result))


def _answer(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    except (ImportError, ValueError, OSError):  # Windows, or there is a lower limit already
        pass


def _out_of_time(*_: Any) -> None:
    raise OutOfTime


def _start_clock() -> None:
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, _out_of_time)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS, 0.1)  # repeated: code below may swallow an exception
        signal.setitimer(signal.ITIMER_REAL, WALL_SECONDS)


def _stop_clock() -> None:
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGPROF, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
