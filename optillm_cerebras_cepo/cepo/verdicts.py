"""Read a judge's reply: the rating of one answer, or which of two answers is the better one.

OptiLLM asks for `Rating: [[0]]` or `Rating: [[1]]`, and for `Better Response: [[0]]` or `[[1]]`. Judges also write
numbers about other things (a confidence, a count of steps), other scales and other notations. Candidates are compared
by their ratings, so a rating is a number from 0 to 1, or there is none.

A verdict is looked for in this order, and the last one of the first kind that is found decides:

1. In double brackets after its label: `Rating: [[1]]`.
2. In double brackets alone: `[[1]]`. Here only verdicts on the scale count: `[[7]]` may be a matrix.
3. After its label and a separator: `Rating: 1`, else `Score: 1`.
4. After its label in a sentence: `I rate this response 1`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from optillm_cerebras_cepo.cepo import verdict_patterns
from optillm_cerebras_cepo.cepo.verdict_patterns import Patterns

# Returns the verdict of a match of `patterns.VALUE`, given its label's scale; None if it is none.
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
    return _last(verdict_patterns.plain(text), verdict_patterns.RATING, _on_scale)


def read_preference(text: str) -> int | None:
    """Return which of two answers a judge's reply prefers, 0 or 1, or None if it prefers neither. Never raise.

    Only the last verdict counts: one that names a third answer is no preference, whatever was said before.

    >>> read_preference("**Better response:** [1]")
    1
    """
    preferred = _last(verdict_patterns.plain(text), verdict_patterns.PREFERENCE, _first_or_second)
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
        elif verdict is not None and not verdict_patterns.OTHER_LABEL.search(before):
            alone.append(verdict)
    verdicts = labelled or alone or next(filter(None, _bare(plain, kind, read)), [None])
    return verdicts[-1]


def _in_brackets(plain: str, kind: Patterns) -> Iterator[tuple[re.Match[str], re.Match[str], str]]:
    """Find numbers in double brackets: yield the content, the number with its scale, and the text before them."""
    for brackets in verdict_patterns.BRACKETS.finditer(plain):
        content = kind.content.fullmatch(brackets[1])
        # The scale may stand behind the brackets: "[[8]]/10".
        value = content and verdict_patterns.VALUE.match(plain, brackets.start(1) + content.start("number"))
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
    return plain[max(0, place - verdict_patterns.BEFORE) : place]


def _is_of_other(before: str, label: str) -> bool:
    """Return True if the text before a label says that it is no verdict's: "confidence rating", "would be rated"."""
    if verdict_patterns.HYPOTHETICAL.search(before):
        return True
    other = verdict_patterns.OF_OTHER.search(before)
    if other is None:
        return False
    # "It has my full confidence Rating: [[1]]": a sentence begins with the label.
    begins = other["thing"].islower() and label[0].isupper()
    return bool(other["further"]) or not begins


def _on_scale(value: re.Match[str], scale: str) -> float | None:
    """Return a rating as a share of the top of its own scale, else its label's, else 1; None if it is beyond that."""
    if value["unit"]:  # "4 stars" without "of 5"
        return None
    named = verdict_patterns.TOP_OF_SCALE.search(scale)
    top = 100.0 if value["percent"] else float(value["top"] or (named and named[1]) or 1)
    number = float(value["number"])
    return number / top if top > 0 and 0 <= number <= top else None


def _first_or_second(value: re.Match[str], _: str) -> float | None:
    """Return 0 or 1; None for another number, and for one of some scale."""
    number, scaled = float(value["number"]), value["percent"] or value["top"] or value["unit"]
    return number if number in (0, 1) and not scaled else None
