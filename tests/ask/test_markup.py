"""Texts of models for a terminal: no control characters, LaTeX as Unicode."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.ask.markup import as_unicode, with_formulas
from optillm_cerebras_cepo.trace.text import safe

FORMULAS = {
    r"x^2 + y_{10} = \frac{1}{2}": "x² + y₁₀ = 1/2",
    r"\frac{x+1}{y}": "(x+1)/y",
    r"\dfrac{a}{b+c}": "a/(b+c)",
    r"\boxed{42}": "42",
    r"\sqrt{x^2+1} \le \pi": "√(x²+1) ≤ π",
    r"\sum_{i=1}^{n} i": "∑ᵢ₌₁ⁿ i",
    r"10^{-3}\,\text{m}^2": "10⁻³ m²",
    r"e^{i\pi}": "e^(iπ)",
    r"90^\circ": "90°",
    r"90^{\circ}": "90°",
    r"\log_2 8": "log₂ 8",
    r"\begin{pmatrix}1&2\\3&4\end{pmatrix}": "[ 1 2; 3 4 ]",
    r"\frac{": r"\frac{",
}


@pytest.mark.parametrize(("latex", "text"), FORMULAS.items())
def test_a_formula_is_unicode(latex: str, text: str) -> None:
    """As far as Unicode goes; what is not understood stays LaTeX."""
    assert as_unicode(latex) == text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        (r"So \(x^2\) and $a_1$.", "So x² and a₁."),
        (r"So \boxed{45}.", "So 45."),
        ("It costs $5 and $6.", "It costs $5 and $6."),
        (r"`\(x^2\)` and ```\n$x^2$\n```", r"`\(x^2\)` and ```\n$x^2$\n```"),
        (r"\(a*b*c\)", r"a\*b\*c"),
        (r"$$x^2$$", "\n\nx²\n\n"),
    ],
)
def test_formulas_of_an_answer_are_replaced(markdown: str, text: str) -> None:
    """Not prices, and not code; and a formula's text is no Markdown."""
    assert with_formulas(markdown) == text


@given(st.text() | st.text(alphabet="\\$^_{}()[]xfrac \n1"))
def test_no_text_fails(text: str) -> None:
    """Whatever a model writes."""
    with_formulas(safe(text))


@given(st.text())
def test_a_safe_text_steers_no_terminal(text: str) -> None:
    """No control character is left but line breaks and tabs, and nothing else is lost."""
    shown = safe(text)
    assert not [char for char in shown if char not in "\n\t" and unicodedata.category(char) == "Cc"]
    printable = [char for char in text if char.isprintable()]
    assert [char for char in shown if char.isprintable()] == printable


def test_escape_sequences_and_changes_of_direction_are_left_out() -> None:
    """A title of the window, a link, a cleared screen, and text that reads backwards."""
    assert safe("a\x1b]0;title\x07b\x1b[2Jc\u202etxt\u2066\x9b31m") == "a]0;titleb[2Jctxt31m"
