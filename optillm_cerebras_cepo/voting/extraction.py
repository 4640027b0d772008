"""Find the answer that a reply marks as its own: the evidence without which two replies do not agree.

Marks, from the most explicit one: an answer tag, a JSON field, a box, a sentence that names the answer, bold print or a
last line that is nothing but the answer. The last mark counts, because a model that corrects itself writes the
correction below; several boxes or lines in a row are the parts of one answer. A reply without a mark is its own answer
as a whole: no piece of a sentence is taken for it.
"""

from __future__ import annotations

import re

from optillm_cerebras_cepo.voting.last_line import last_line, opening_verdict
from optillm_cerebras_cepo.voting.marks import FinalAnswer, marked, program, record, tagged

TAIL = 4000  # characters at the end of a reply that are searched for its answer
HEAD = 1000  # characters at its start that are searched too: some replies answer first and explain then
_THOUGHT_ENDS = ("</think>", "</thinking>", "</reasoning>")
_END_TOKEN = re.compile(r"<\|(?:im_\w+|eot_id|end\w*)\|>.{0,200}\Z", re.DOTALL)


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
    text = opening_verdict(said, question[-HEAD:]) or last_line(tail, asks)
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
