"""Multiple choice: the choices of a question, and those that a reply selects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from string import ascii_uppercase

from optillm_cerebras_cepo.voting.extraction import TAIL, spoken

_LINE = re.compile(r"^[ \t]*(?:[-*•][ \t]+)?(?:\*\*)?\(?([A-Z])[).:](?:\*\*)?[ \t]+(\S.*)$", re.MULTILINE)
_INLINE = re.compile(r"(?:^|(?<=[\s,;:?.]))\(?([A-Z])\)[ \t]*")
_DRESS = re.compile(r"\\(?:text|textbf|mathrm|mathbf|boxed|mathsf|textit)\s*|[{}$*`_\"'“”]|\\[()\[\]]")
_ONE = r"\(?\s*([A-Z])\s*\)?"
_WHOLE = re.compile(
    rf"^(?:(?:the\s+)?(?:correct\s+)?(?:option|choice|answer|letter)\s*(?:is\s+)?:?\s*)?{_ONE}"
    r"\s*(?:$|[.):,;–—]\s|[.):,;]$|-\s|\s[-–—=]\s|\s(?:because|since|as|is)\b)",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    rf"^(?:options?|choices?|both)?\s*{_ONE}(?:\s*(?:,|and|&|or|/)\s*(?:and\s+)?{_ONE})+\s*\.?$", re.I
)
_POINTED = re.compile(r"\b(?:option|choice|letter|answer)\s*(?:is\s+|would be\s+)?:?\s*\(?([A-Z])\b(?!')|\(([A-Z])\)")

_RIGHT = re.compile(
    r"\(?\b([A-Z])\b\)?\s+(?:is|must be|has to be|would be)\s+(?:the\s+)?(?:only\s+)?(?:correct|right|best|true|answer)"
)


def offered(question: str) -> dict[str, str]:
    """Return the choices of a question, letter → text; empty if it offers none.

    Choices are lines such as "A) …", "(B) …", "C. …", "D: …", or run on in one line as "(A) … (B) …" or "A) … B) …":
    at least two letters, in order from A without a gap. The last such list counts.
    """
    return _in_order(_LINE.findall(question)) or _in_order(_run_on(question))


def taken(reply: str, answer: str, choices: Mapping[str, str], same: Callable[[str, str], bool]) -> str:
    """Return the letter, or the letters in order, that a reply selects; empty if none can be read.

    Args:
        reply: the whole reply.
        answer: its final answer.
        choices: of the question.
        same: returns whether an answer equals the text of a choice.

    """
    bare = _DRESS.sub("", answer).strip()
    several = _SEVERAL.match(bare)
    if several:
        letters = set(re.findall(r"(?<![A-Z])[A-Z](?![A-Z])", bare.upper()))
        return "".join(sorted(letters)) if letters <= set(choices) else ""
    whole = _WHOLE.match(bare)
    if whole and whole[1].upper() in choices:
        return str(whole[1]).upper()
    alike = [letter for letter, text in choices.items() if same(answer, text)]
    if len(alike) == 1:
        return alike[0]
    tail = _DRESS.sub("", spoken(reply)[-TAIL:])
    confirmed = [letter for letter in _RIGHT.findall(tail) if letter in choices]
    if confirmed:
        return str(confirmed[-1])
    for text in (bare, tail):
        pointed: list[str] = [first or second for first, second in _POINTED.findall(text)]
        pointed = [letter for letter in pointed if letter in choices]
        if pointed:
            return pointed[-1]
    return ""


def _run_on(question: str) -> list[tuple[str, str]]:
    marks = list(_INLINE.finditer(question))
    ends = [*(mark.start() for mark in marks[1:]), len(question)] if marks else []
    return [(mark[1], question[mark.end() : end].strip(" \t\n,;")) for mark, end in zip(marks, ends, strict=True)]


def _in_order(found: list[tuple[str, str]]) -> dict[str, str]:
    """Return the last run A, B, C … of these; a letter out of order ends a run."""
    best: dict[str, str] = {}
    run: dict[str, str] = {}
    for letter, text in found:
        if letter == "A":
            run = {}
        if letter == ascii_uppercase[len(run) % 26]:
            run[letter] = text.strip().removesuffix("**").strip()
            if len(run) >= 2:
                best = dict(run)
    return best
