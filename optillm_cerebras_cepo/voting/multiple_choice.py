"""Multiple choice: the choices of a question, and those that a reply selects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from string import ascii_uppercase

from optillm_cerebras_cepo.voting.extraction import TAIL, spoken
from optillm_cerebras_cepo.voting.marks import FinalAnswer, named_rest
from optillm_cerebras_cepo.voting.plain_text import words
from optillm_cerebras_cepo.voting.quantities import read_quantity

_LABEL = r"(?:\*\*)?\(?([A-Z]|[a-z]|\d{1,2}|[ivx]{1,4})[).:](?:\*\*)?"
_LINE = re.compile(rf"^[ \t]*(?:[-*•][ \t]+)?{_LABEL}[ \t]+(\S.*)$", re.MULTILINE)
_INLINE = re.compile(r"(?:^|(?<=[\s,;:?.]))\(?([A-Z])\)[ \t]*")
_ASKS_TO_CHOOSE = re.compile(r"\b(?:which|choose|select|pick|options?|choices?|wähle|elige)\b|选", re.IGNORECASE)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
_DRESS = re.compile(r"\\(?:textbf|textit|text|mathrm|mathbf|mathsf|boxed)\s*|[{}$*`_\"'“”]|\\[()\[\]]")
_ONE = r"\(?\s*([A-Z])\s*\)?"
_PREFIX = r"(?:(?:the\s+)?(?:correct\s+)?(?:option|choice|answer|letter)\s*(?:is\s+)?:?\s*)?"
_WHOLE = re.compile(
    rf"^{_PREFIX}{_ONE}\s*(?:$|[.):,;–—。]\s|[.):,;。]$|-\s|\s[-–—=(]\s?|\s(?:because|since|as|is|and\s+not)\b)",
    re.IGNORECASE,
)
_SEVERAL = re.compile(
    rf"^(?:options?|choices?|both)?\s*{_ONE}(?:\s*(?:,|and|&|or|/)\s*(?:and\s+)?{_ONE})+\s*\.?$", re.IGNORECASE
)
_RIGHT = re.compile(
    r"\(?\b([A-Z])\b\)?\s+(?:is|must be|has to be|would be)\s+(?:the\s+)?(?:only\s+)?(?:correct|right|best|true|answer)"
)
_OPENING = re.compile(r"^\**\(?([A-Z])[).:]\**(?:\s|$)")
_POINTED = re.compile(
    r"\b(?:must|should|has to|would|can only) be (?:option |choice |answer )?\(?([A-Z])\b\)?(?!')"
    r"|^(?:so|thus|therefore|hence)?,?\s*\(?([A-Z])\)?[.!]?$|,\s*so\s+\(?([A-Z])\)?\.?$"
)


def offered(question: str) -> dict[str, str]:
    """Return the choices of a question, letter → text; empty if it offers none.

    Choices are lines such as "A) …", "(B) …", "C. …", "D: …", or run on in one line as "(A) … (B) …" or "A) … B) …":
    at least two labels, in order from the first without a gap. The last such list counts. Small letters, numbers and
    Roman numerals are labels too, where the question asks to choose; their letters here are those of their places.
    """
    found = _LINE.findall(question)
    capitals = _in_order([(label, text) for label, text in found if label.isupper()], ascii_uppercase)
    if capitals:
        return capitals
    if inline := _in_order(_run_on(question), ascii_uppercase):
        return inline
    if not _ASKS_TO_CHOOSE.search(question):
        return {}
    for labels in (_ROMAN, tuple(map(str, range(1, 27))), tuple(ascii_uppercase.lower())):
        if chosen := _in_order([(label, text) for label, text in found if label in labels], labels):
            return chosen
    return {}


def taken(
    reply: str, answer: FinalAnswer, question: str, choices: Mapping[str, str], same: Callable[[str, str], bool]
) -> str:
    """Return the letter, or the letters in order, that a reply selects; empty if it marks none.

    Args:
        reply: the whole reply.
        answer: its final answer.
        question: what was asked, with the labels of its choices.
        choices: of the question.
        same: returns whether an answer equals the text of a choice.

    """
    bare = _bare(answer.text) if answer.marked else ""
    several = _SEVERAL.match(bare)
    if several:
        letters = set(re.findall(r"(?<![A-Z])[A-Z](?![A-Z])", bare.upper()))
        return "".join(sorted(letters)) if letters <= set(choices) else ""
    whole = _WHOLE.match(bare)
    if whole and whole[1].upper() in choices and (whole[1].isupper() or len(bare.strip("(). ")) == 1):
        return str(whole[1]).upper()  # "(i) and (ii) only" is the text of a choice
    if letter := _by_label(bare, question, choices):
        return letter
    said = spoken(reply)[-TAIL:]
    if answer.marked:
        exactly = [letter for letter, text in choices.items() if words(answer.text) == words(text)]
        if len(exactly) == 1 and not read_quantity(answer.text):  # of 12 and 12.0, neither is meant more
            return exactly[0]
        alike = [letter for letter, text in choices.items() if same(answer.text, text)]
        if alike:
            return alike[0] if len(alike) == 1 else ""
    if letter := _by_text(said, choices):
        return letter
    rows = [_bare(row) for row in said.splitlines() if row.strip()]
    for searched, pattern in ((rows[-1:], _POINTED), (rows[::-1], _RIGHT), (rows[:1], _OPENING)):
        for row in searched:
            found = {next(filter(None, match.groups())) for match in pattern.finditer(row)} & set(choices)
            if found:
                return found.pop() if len(found) == 1 else ""
    return ""


def _bare(text: str) -> str:
    """Return a text without quotes, markdown, and LaTeX's fonts, spaces and brackets."""
    return _DRESS.sub("", re.sub(r"\\[ ,;]", " ", text)).strip()


def _by_label(answer: str, question: str, choices: Mapping[str, str]) -> str:
    """Return the letter of the choice whose own label, such as "b" or "ii", begins the answer."""
    label = re.match(r"^\(?(\d{1,2}|[ivx]{1,4}|[a-z])(?:[).:]|\)?$)", answer)
    labels = [label for label, text in _LINE.findall(question)][-len(choices) :]
    if label and label[1] in labels and not labels[0].isupper():
        return list(choices)[labels.index(label[1])]
    return ""


def _by_text(said: str, choices: Mapping[str, str]) -> str:
    """Return the letter of the longest choice whose words begin what the reply names as its answer."""
    rest = words(named_rest(said)[:2000]) + " "
    begun = [letter for letter, text in choices.items() if words(text) and rest.startswith(words(text) + " ")]
    return max(begun, key=lambda letter: len(choices[letter]), default="")


def _run_on(question: str) -> list[tuple[str, str]]:
    marks = list(_INLINE.finditer(question))
    ends = [*(mark.start() for mark in marks[1:]), len(question)] if marks else []
    return [(mark[1], question[mark.end() : end].strip(" \t\n,;")) for mark, end in zip(marks, ends, strict=True)]


def _in_order(found: list[tuple[str, str]], labels: Sequence[str]) -> dict[str, str]:
    """Return the last run of choices in the order of these labels, by letter; a label out of order ends a run."""
    best: dict[str, str] = {}
    run: dict[str, str] = {}
    for label, text in found:
        if label == labels[0]:
            run = {}
        if len(run) < min(26, len(labels)) and label == labels[len(run)]:
            run[ascii_uppercase[len(run)]] = text.strip().removesuffix("**").strip()
            if len(run) >= 2:
                best = dict(run)
    return best
