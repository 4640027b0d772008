"""Formulas of a model's text for a terminal: LaTeX as Unicode, as far as that goes."""

from __future__ import annotations

import logging
import re
import unicodedata
from functools import lru_cache
from typing import Any

from pylatexenc.latex2text import LatexNodes2Text, MacroTextSpec, get_default_latex_context_db

CODE = re.compile(r"(```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]+`)", re.DOTALL)
MATH = re.compile(  # each beginning looks for its end within so many characters: a longer formula stays LaTeX
    r"\$\$(?P<dollars>.{1,1000}?)\$\$|\\\[(?P<brackets>.{1,1000}?)\\\]|\\\((?P<parentheses>.{1,500}?)\\\)"
    # A single dollar is a formula's only if it touches its text, and no digit follows: "$5 and $6" are prices.
    r"|(?<![\\$\w])\$(?!\s)(?P<dollar>[^$\n]{1,500}?)(?<![\s\\])\$(?![\d$])"
    r"|(?P<boxed>\\boxed\{[^{}]{0,500}\})",
    re.DOTALL,
)
DISPLAYED = ("dollars", "brackets")
SCRIPT = re.compile(r"([\^_])\s*(?:\{([^{}]*)\}|(\w))")
DEGREE = re.compile(r"\^\s*(?:\\circ(?![a-zA-Z])|\{\s*\\circ\s*\})")
FRACTION = re.compile(r"\\[cdt]frac(?![a-zA-Z])")
RELATION = re.compile(r" *([≤≥≠≈≡→⇒×·±∈]) *")
MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~])")


def with_formulas(markdown: str) -> str:
    """Return Markdown whose formulas are Unicode text. Code stays as it is."""
    parts = CODE.split(markdown)
    parts[::2] = [MATH.sub(_formula, part) for part in parts[::2]]
    return "".join(parts)


def _formula(match: re.Match[str]) -> str:
    kind = match.lastgroup or ""
    latex = match[kind]
    text = MARKDOWN.sub(r"\\\1", as_unicode(latex))
    return f"\n\n{text}\n\n" if kind in DISPLAYED else text


def as_unicode(latex: str) -> str:
    """Return a formula as Unicode text; LaTeX that is not understood stays as it is."""
    raised = SCRIPT.sub(_script, DEGREE.sub("°", FRACTION.sub(r"\\frac", latex)))
    try:
        text = _converter().latex_to_text(raised)
    except (ValueError, IndexError, RecursionError):  # of a broken formula
        return latex
    return re.sub(r"[ \t]+", " ", RELATION.sub(r" \1 ", text)).strip() or latex


@lru_cache(maxsize=1)
def _converter() -> LatexNodes2Text:
    logging.getLogger("pylatexenc").setLevel(logging.CRITICAL)  # it warns of what a model writes
    context = get_default_latex_context_db()
    # The library writes (x+1)/y without its parentheses.
    fraction = MacroTextSpec("frac", simplify_repl=_fraction)
    context.add_context_category("fractions", macros=[fraction], prepend=True)
    return LatexNodes2Text(latex_context=context, math_mode="text", strict_latex_spaces="except-in-equations")


def _fraction(node: Any, l2tobj: LatexNodes2Text) -> str:
    arguments = node.nodeargd.argnlist if node.nodeargd else ()
    parts = [l2tobj.nodelist_to_text([part]).strip() for part in arguments if part is not None]
    return "/".join(part if re.fullmatch(r"\w*|\(.*\)", part) else f"({part})" for part in parts)


def _script(match: re.Match[str]) -> str:
    """Return a superscript or subscript in its own characters, if there are such for all of it."""
    content = match[2] if match[2] is not None else match[3]
    characters = _scripts()[match[1]]
    if all(char in characters for char in content):
        return "{}" + "".join(characters[char] for char in content)  # {} ends a command's name
    return f"{match[1]}({content})" if len(content) > 1 else match[0]


@lru_cache(maxsize=1)
def _scripts() -> dict[str, dict[str, str]]:
    """Return the characters that Unicode knows as superscripts and subscripts of others."""
    found: dict[str, dict[str, str]] = {"^": {}, "_": {}}
    for char in map(chr, range(0xA0, 0x2100)):
        kind, _, base = unicodedata.decomposition(char).partition(" ")
        if kind in ("<super>", "<sub>") and " " not in base:
            found["^" if kind == "<super>" else "_"].setdefault(chr(int(base, 16)), char)
    found["^"]["-"], found["_"]["-"] = found["^"].pop("−", "⁻"), found["_"].pop("−", "₋")
    return found
