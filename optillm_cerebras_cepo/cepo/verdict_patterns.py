"""Patterns of the verdicts in a judge's reply, and the plain text in which they are looked for.

In a plain text one space stands between two tokens (words, numbers, signs, line breaks), so that no pattern has to skip
runs of spaces. Every pattern matches a bounded number of characters: the time for a reply is linear in its length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

BEFORE = 100  # characters before a number that are searched for its label

# Markdown, quotes and LaTeX's signs become spaces; punctuation of other scripts becomes ASCII's.
_SIGNS = dict.fromkeys("*_`\"'“”‘’«»$#\\", " ") | dict(zip("：＝【】［］（）％／−—", ":=[][]()%/-–", strict=True))
_PLAIN = str.maketrans(_SIGNS)
# A number is one token with all that is attached to it: "1e3", "1st", "1,000" and "1.0.2" are no numbers here.
_TOKEN = re.compile(r"(?:(?<![\w)\]])[-+])?\.?\d(?:[^\W_]|[.,](?=\d)){0,60}|[^\W\d_]{1,60}|\n|[^\s\w]")


def plain(text: str) -> str:
    """Return the text's tokens with one space between them, and one line break where there are several."""
    tokens = _TOKEN.findall(text.translate(_PLAIN))
    return " ".join(token for before, token in pairwise(["", *tokens]) if not before == token == "\n")


def _pattern(*parts: str) -> re.Pattern[str]:
    return re.compile("".join(parts), re.IGNORECASE)


_START = r"(?<!\S)"
_NUMBER = r"[-+]?(?:\d{1,40}(?:\.\d{1,40})?|\.\d{1,40})(?!\S)"
_OPEN = r"(?: (?:[\[({<|~≈]|boxed|text|textbf|mathbf)){0,4}"
_SEPARATOR = r"(?: (?:[:=|>→–-]|[-=] >|is))"
_LINE = r"(?P<line> \n)?"
_NO_ITEM = r"(?(line)(?! [.)] [^\n]))"  # after a line break "1. The first step" is an item of a list
_TOP = rf"(?:/|(?:out )?of(?: a possible)?|on a scale (?:of|from)(?: [01] (?:to|[-–]))?) (?P<top>{_NUMBER})"
_VALUE = (
    rf"(?P<number>{_NUMBER})(?! (?:or|to|[-–]) {_NUMBER})(?: [\])}}>]){{0,4}}"
    rf"(?: (?P<percent>%|per ?cent)|(?: stars?| points?)?(?: \()? {_TOP}| (?P<unit>stars?|points?))?"
)
VALUE = _pattern(_VALUE)

# A label may name the scale of its number: "Rating (0 to 10): 8".
_SCALE = rf"(?P<scale> \( [^()\n]{{1,60}} \)| (?:out of|/) {_NUMBER})?"
TOP_OF_SCALE = _pattern(rf"(?:out of|/|{_START}[01] (?:to|[-–])) ({_NUMBER})")

BRACKETS = re.compile(r"\[ \[ ([^\[\]\n]{1,60}) \] \]")

# Judges also write numbers about these; a label that follows one is no verdict's.
_OTHER = (
    r"(?:confidence|confident|certainty|probability|likelihood|difficulty|complexity|clarity|style|format|formatting|"
    r"helpfulness|relevance|depth|creativity|completeness|readability|steps?)"
)
OTHER_LABEL = _pattern(rf"{_START}{_OTHER}(?: (?:score|level|value|estimate))? [:=|] $")
OF_OTHER = _pattern(
    rf"{_START}(?P<thing>{_OTHER})",
    r"(?P<further>(?: (?:in|of|for|about))?(?: (?:this|that|the|my|a|final|overall)){0,2}) $",
)
HYPOTHETICAL = _pattern(
    rf"{_START}(?:would|could|might|may)(?: have)?",
    r" (?:be|been|get|got|receive|received|deserve|deserved|earn)(?: an?)? $",
)


@dataclass(frozen=True)
class Patterns:
    """How one kind of verdict is written.

    Attributes:
        content: all of what stands between double brackets.
        label: a label that ends where its double brackets begin.
        bare: a label and its number without double brackets, the most explicit pattern first.

    """

    content: re.Pattern[str]
    label: re.Pattern[str]
    bare: tuple[re.Pattern[str], ...]


_RATED = r"(?P<label>rating|rated?|rates|scored?|scores|graded?|grades)"
_IT = r"(?: (?:it|this|that|the|response|answer|solution|as|at|an?|with|of|is|[:=|>])){0,6}"
RATING = Patterns(
    content=_pattern(rf"(?P<label>(?:final )?(?:rating|score) (?:[:=] )?)?{_VALUE}"),
    label=_pattern(rf"{_START}(?P<label>rating){_SCALE}(?:{_SEPARATOR}| of| as)?{_LINE}{_OPEN} $"),
    bare=(
        _pattern(
            rf"{_START}(?P<label>rating){_SCALE}(?={_SEPARATOR}| \n){_SEPARATOR}?{_LINE}{_OPEN} {_VALUE}{_NO_ITEM}"
        ),
        _pattern(rf"{_START}(?P<label>score|grade){_SCALE} [:=]{_LINE}{_OPEN} {_VALUE}{_NO_ITEM}"),
        _pattern(rf"{_START}{_RATED}{_SCALE}{_IT}{_LINE}{_OPEN} {_VALUE}{_NO_ITEM}"),
    ),
)

_ONE = r"(?:response|answer|one|choice|option)"
_BETTER = rf"{_START}(?P<label>better|best|preferred|superior)(?P<scale>)(?: {_ONE})?(?: (?:id|number))?"
PREFERENCE = Patterns(
    content=_pattern(rf"(?P<label>(?:better|best|preferred) (?:{_ONE} )?(?:[:=] )?)?(?:{_ONE} )?{_VALUE}"),
    label=_pattern(rf"{_BETTER}{_SEPARATOR}?{_LINE}(?: {_ONE})?{_OPEN} $"),
    bare=(_pattern(rf"{_BETTER}{_SEPARATOR}?{_LINE}(?: the)?{_OPEN}(?: {_ONE})?{_OPEN} {_VALUE}{_NO_ITEM}"),),
)
