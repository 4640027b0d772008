"""Find the answer that a reply marks as its own: the evidence without which two replies do not agree.

Marks, from the most explicit one: an answer tag, a JSON field, a box, a sentence that names the answer, bold print or a
last line that is nothing but the answer. The last mark counts, because a model that corrects itself writes the
correction below; several boxes or lines in a row are the parts of one answer. A reply without a mark is its own answer
as a whole: no piece of a sentence is taken for it.
"""

from __future__ import annotations

import re

from optillm_cerebras_cepo.voting.answer_text import (
    BOLD,
    FENCE,
    MATH,
    MOST_WORDS,
    SENTENCE,
    SHORT,
    bare,
    is_quantity_like,
    is_value,
    joined,
    trimmed,
    without_markdown,
)
from optillm_cerebras_cepo.voting.marks import FinalAnswer, marked, program, record, tagged

TAIL = 4000  # characters at the end of a reply that are searched for its answer
HEAD = 1000  # characters at its start that are searched too: some replies answer first and explain then
_THOUGHT_ENDS = ("</think>", "</thinking>", "</reasoning>")
_END_TOKEN = re.compile(r"<\|(?:im_\w+|eot_id|end\w*)\|>.{0,200}\Z", re.DOTALL)
_VERDICT = re.compile(
    r"^\s*(?:(?:so|thus|therefore|hence),?\s+)?(yes|no|true|false)\b\s*(?:[,.:;!—–]|-\s|$)"
    r"(?!\s*(?:if|unless|but|except|when|provided|only|it depends)\b)",
    re.IGNORECASE,
)
_ASKS_YES_OR_NO = re.compile(
    r"(?:^|[.!?\n][ \t]*)(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|must)\s+(?!you\b)"
    r"[^.!?\n]{2,300}\?$",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"^\W*(?:best|kind|warm|regards|sincerely|yours|cheers|thanks|thank you|love|enjoy|good luck|the end|fin|end"
    r"|note|hope|let me|happy|take care|conclusion|summary|answer|solution|result|explanation|proof|qed|q\.e\.d)\b",
    re.IGNORECASE,
)
_ITEM = re.compile(r"^[ \t]*(?:[-*•+]|\d{1,3}[.)])[ \t]+\S")


def final_answer(reply: str, question: str = "") -> FinalAnswer:
    """Return the answer of a reply. Never raise.

    At most the last 4,000 and the first 1,000 characters are searched, so the time does not grow with the length.

    Args:
        reply: the whole reply.
        question: what it answers. Words alone, at the end of a text, are an answer only where something is asked.

    """
    said = spoken(reply)
    tail = said[-TAIL:]
    asks = "?" in question or "？" in question
    if found := record(tail) or tagged(tail) or marked(tail, asks) or program(said):
        return found
    if len(said) > TAIL and (found := marked(said[:HEAD], asks)):
        return found
    text = _opening_verdict(said, question[-HEAD:]) or _last_line(tail, asks)
    return FinalAnswer(text) if text else FinalAnswer(said, marked=False)


def spoken(reply: str) -> str:
    """Return a reply without the model's reasoning; the whole reply if there is nothing else in it."""
    start = 0
    for mark in _THOUGHT_ENDS:
        at = reply.rfind(mark) + len(mark)
        if at >= len(mark):
            start = max(start, at)
    reply = _END_TOKEN.sub("", reply)
    if reply[start : start + TAIL].strip():
        return reply[start:].strip()
    return reply[: max(reply.rfind(opening) for opening in ("<think", "<reasoning"))].strip() or reply.strip()


def _opening_verdict(said: str, question: str) -> str:
    """Return the yes or no that a reply begins with; empty if there is none, or the question asks for none."""
    verdict = _VERDICT.match(without_markdown(said[:SHORT]))
    return verdict[1] if verdict and _ASKS_YES_OR_NO.search(question.rstrip()) else ""


def _last_line(said: str, asks: bool) -> str | None:
    """Return the last line, or the lines of values at the end, if it is nothing but an answer; else None."""
    rows = [row.strip() for row in FENCE.sub("", said).splitlines()]
    while rows and not re.search(r"\w|∅", rows[-1]):
        rows.pop()
    if not rows:
        return None
    values: list[str] = []
    for row in reversed([row for row in rows if row]):
        if not is_value(bare(row)):
            break
        if len(rows) > 1 and _ITEM.match(row):  # of a list
            return None
        values.insert(0, bare(row))
    if values:
        return trimmed(joined(values))
    if MATH.fullmatch(rows[-1].rstrip(".")):
        return bare(rows[-1])
    if bold := _bold(rows, asks):
        return bold
    verdict = _VERDICT.match(rows[-1])
    if verdict and len(rows) < 2:
        return verdict[1]
    last = bare(rows[-1])
    if _ITEM.match(rows[-1]):
        return None
    if len(last.split()) > 1 and is_quantity_like(last):
        return trimmed(last)
    alone = len(rows) == 1 or (asks and not rows[-2] and not _after_closing(rows))
    closed = re.search(r"^\[|[.!?…:,\]]$", rows[-1]) or _CLOSING.match(last) or SENTENCE.search(last)
    return trimmed(last) if alone and len(last.split()) <= MOST_WORDS and not closed else None


def _after_closing(rows: list[str]) -> bool:
    """Return whether the last line is a signature: the line before it closes a letter."""
    before = [row for row in rows[:-1] if row]
    return bool(before) and len(before[-1].split()) <= MOST_WORDS and bool(_CLOSING.match(before[-1]))


def _bold(rows: list[str], asks: bool) -> str | None:
    """Return the bold print of the last line: values, all of the line, or the one name in a reply of one line."""
    found = [match for match in BOLD.finditer(rows[-1]) if not match[0].rstrip("*_").endswith(":")]
    if not found or _ITEM.match(rows[-1]) or rows[-1].startswith("#"):
        return None
    texts = [trimmed(match[1] or match[2]) for match in found]
    if all(is_value(bare(text)) or is_quantity_like(text) for text in texts):
        return ", ".join(texts)
    rest = BOLD.sub("", rows[-1])
    whole = not re.search(r"\w", rest) and not _after_closing(rows) and not _CLOSING.match(texts[0])
    named = len(rows) == 1 and asks and len(rest) <= SHORT and not re.search(r"\b(?:and|or|not)\b|,", rest)
    return texts[0] if len(found) == 1 and (whole or named) else None
