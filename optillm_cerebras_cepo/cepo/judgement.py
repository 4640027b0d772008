"""What a judge says: a rating of one answer, or which of two is the better one."""

from __future__ import annotations

import re

TAIL = 4000  # characters at the end of a judge's reply that are read: the verdict stands last

_DRESS = r"[\s*_`\"'$#]*"
_GAP = rf"{_DRESS}(?:[:=]|->|→|\bis\b|\bof\b|\s){_DRESS}"
_OPEN, _CLOSE = r"[\[({<\s*_`\"'$]*", r"[\])}>\s*_`\"'$]*"
_NUMBER = r"(?<![\w.])([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?![\w]|\.\d)"
_OUT_OF = rf"(?:\s*(?:/|\bout\s+of\b){_DRESS}(\d+(?:\.\d+)?))?"
_RATING = re.compile(rf"\b(?:rating|rated|score){_GAP}{_OPEN}{_NUMBER}{_CLOSE}{_OUT_OF}", re.IGNORECASE)
_PREFERENCE = re.compile(
    rf"\b(?:better|best|preferred)(?:\s+(?:response|answer|one|is))?{_GAP}{_OPEN}(?:response\s*)?{_OPEN}{_NUMBER}",
    re.IGNORECASE,
)


def read_rating(text: str) -> float | None:
    """The last rating in a judge's reply, or None when it says none.

    The scale is OptiLLM's, 0 for wrong and 1 for right; what lies between is kept. A rating that names its own scale is
    brought to that one: "8/10" and "8 out of 10" are 0.8. A bare number is taken as it stands, also beyond 1, because
    ratings are only compared with each other. A last rating below zero or beyond its own scale is none. Never raises.

    >>> read_rating("Rating: [[0]] … on second thoughts, **Rating:** 8/10")
    0.8
    """
    # OptiLLM's defect: one_wording_of_a_rating_is_read
    # OptiLLM's defect: a_cut_rating_is_a_crash
    ratings = _RATING.findall(text[-TAIL:])
    return _on_scale(*ratings[-1]) if ratings else None


def read_preference(text: str) -> int | None:
    """Which of two answers the judge's last verdict prefers, 0 or 1; None when it names neither. Never raises.

    Only the last verdict counts: one that names a third answer is no preference, whatever was said before.

    >>> read_preference("**Better response:** [1]")
    1
    """
    verdicts = _PREFERENCE.findall(text[-TAIL:])
    return {0.0: 0, 1.0: 1}.get(float(verdicts[-1])) if verdicts else None


def _on_scale(number: str, scale: str) -> float | None:
    value = float(number)
    if value < 0 or value == float("inf"):
        return None
    if not scale:
        return value
    return value / float(scale) if 0 < float(scale) < float("inf") and value <= float(scale) else None
