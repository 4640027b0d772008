"""Read a judge's reply: the rating of one answer, or which of two answers is the better one.

OptiLLM asks for `Rating: [[0]]` or `Rating: [[1]]`, and for `Better Response: [[0]]` or `[[1]]`. Judges also write
numbers about other things (a confidence, a count of steps), other scales and other notations. Candidates are compared
by their ratings, so a rating is a number from 0 to 1, or there is none.

A verdict is looked for in this order, and the last one of the first kind that is found decides:

1. In double brackets after its label: `Rating: [[1]]`.
2. In double brackets alone: `[[1]]`. Here only verdicts on the scale count: `[[7]]` may be a matrix.
3. After its label and a separator: `Rating: 1`, else `Score: 1`.
4. After its label in a sentence: `I rate this response 1`.

It is looked for in a plain text of the reply, in which one space stands between two tokens (words, numbers, signs, line
breaks), so that no pattern has to skip runs of spaces. Every pattern matches a bounded number of characters: the time
for a reply is linear in its length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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
    """How one kind of verdict is written."""

    content: re.Pattern[str]  # all of what stands between double brackets
    label: re.Pattern[str]  # a label that ends where its double brackets begin
    bare: tuple[re.Pattern[str], ...]  # a label and its number without double brackets, the most explicit pattern first


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


# Returns the verdict of a match of `VALUE`, given its label's scale; None if it is none.
_Read = Callable[[re.Match[str], str], float | None]


def read_rating(text: str) -> float | None:
    """Return the rating that a judge's reply gives, 0 (wrong) to 1 (right), or None if it gives none. Never raise.

    A rating on another scale is its share of that scale's top. A number beyond 1 without a scale is no rating.

    >>> read_rating("Rating: [[0]] (it would be rated 1 if the sum were right). Confidence score: 95")
    0.0
    >>> read_rating("**Rating:** 8/10")
    0.8
    """
    # OptiLLM's defect: one_wording_of_a_rating_is_read
    # OptiLLM's defect: a_cut_rating_is_a_crash
    return _last(plain(text), RATING, _on_scale)


def read_preference(text: str) -> int | None:
    """Return which of two answers a judge's reply prefers, 0 or 1, or None if it prefers neither. Never raise.

    Only the last verdict counts: one that names a third answer is no preference, whatever was said before.

    >>> read_preference("**Better response:** [1]")
    1
    """
    preferred = _last(plain(text), PREFERENCE, _first_or_second)
    return None if preferred is None else int(preferred)


def _last(plain: str, kind: Patterns, read: _Read) -> float | None:
    """Return the last verdict of the most explicit kind that there is; see the module's docstring."""
    labelled: list[float | None] = []
    alone: list[float | None] = []
    for content, value, before in _in_brackets(plain, kind):
        label = kind.label.search(before)
        verdict = read(value, (label and label["scale"]) or "")
        if content["label"] or (label and not _is_of_other(before[: label.start()], label["label"])):
            labelled.append(verdict)
        elif verdict is not None and not OTHER_LABEL.search(before):
            alone.append(verdict)
    verdicts = labelled or alone or next(filter(None, _bare(plain, kind, read)), [None])
    return verdicts[-1]


def _in_brackets(plain: str, kind: Patterns) -> Iterator[tuple[re.Match[str], re.Match[str], str]]:
    """Find numbers in double brackets: yield the content, the number with its scale, and the text before them."""
    for brackets in BRACKETS.finditer(plain):
        content = kind.content.fullmatch(brackets[1])
        # The scale may stand behind the brackets: "[[8]]/10".
        value = content and VALUE.match(plain, brackets.start(1) + content.start("number"))
        if content and value:
            yield content, value, _before(plain, brackets.start())


def _bare(plain: str, kind: Patterns, read: _Read) -> Iterator[list[float | None]]:
    """Find verdicts without double brackets: yield all that match one pattern, then all that match the next."""
    for pattern in kind.bare:
        yield [
            read(found, found["scale"] or "")
            for found in pattern.finditer(plain)
            if not _is_of_other(_before(plain, found.start()), found["label"])
        ]


def _before(plain: str, place: int) -> str:
    return plain[max(0, place - BEFORE) : place]


def _is_of_other(before: str, label: str) -> bool:
    """Return True if the text before a label says that it is no verdict's: "confidence rating", "would be rated"."""
    if HYPOTHETICAL.search(before):
        return True
    other = OF_OTHER.search(before)
    if other is None:
        return False
    # "It has my full confidence Rating: [[1]]": a sentence begins with the label.
    begins = other["thing"].islower() and label[0].isupper()
    return bool(other["further"]) or not begins


def _on_scale(value: re.Match[str], scale: str) -> float | None:
    """Return a rating as a share of the top of its own scale, else its label's, else 1; None if it is beyond that."""
    if value["unit"]:  # "4 stars" without "of 5"
        return None
    named = TOP_OF_SCALE.search(scale)
    top = 100.0 if value["percent"] else float(value["top"] or (named and named[1]) or 1)
    number = float(value["number"])
    return number / top if top > 0 and 0 <= number <= top else None


def _first_or_second(value: re.Match[str], _: str) -> float | None:
    """Return 0 or 1; None for another number, and for one of some scale."""
    number, scaled = float(value["number"]), value["percent"] or value["top"] or value["unit"]
    return number if number in (0, 1) and not scaled else None
