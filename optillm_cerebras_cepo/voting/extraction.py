"""Extract the final answer from a reply, without the reasoning and the words around it.

Replies mark their answer in several ways. They are tried from the most to the least explicit: a JSON field, a box, a
sentence that names the answer, bold print, the last line. Of each kind the last one counts, because a model that
corrects itself writes the correction below.
"""

from __future__ import annotations

import json
import re

TAIL = 4000  # characters at the end of a reply that are searched for its answer
HEAD = 1000  # characters at its start that are searched too: some replies answer first and explain then
LONGEST = 400  # characters of an answer; of a longer one, the end is kept

_THOUGHT_ENDS = ("</think>", "</thinking>", "</reasoning>")
_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_FENCE = re.compile(r"^\s*```[\w-]*\s*$", re.MULTILINE)
_BOLD = re.compile(  # in a formula, as in x**2, two stars are a power
    r"(?<![\w)*])\*\*(?=[^\s*])([^\n]{0,400}?[^\s*])\*\*(?![\w(*])|(?<!\w)__(?=[^\s_])([^\n]{0,400}?[^\s_])__(?!\w)"
)
_MATH = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_FIELDS = ("final_answer", "answer", "final answer", "result", "solution", "choice")
_NAMED = re.compile(
    r"\b(?:answer|result|solution|final value)\b(?:\s*\([^()]{0,40}\))?(?:\s+(?:to|of|for|here)\b[^:=.\n]{0,60}?)?"
    r"\s*(?:(?:\s(?:is|are|was|be|equals|must be|should be|would be|will be|comes? (?:out )?to|turns out to be))\b"
    r"|[:=]|->|→)\s*[:=]?",
    re.IGNORECASE,
)
_HEADING = re.compile(
    r"^[\W_]*(?:(?:my|the|our|final|correct|so|and)\s+)*(?:answer|result|solution)[\W_]*$", re.IGNORECASE
)
_FILLER = re.compile(
    r"^(?:[:=\s]+|(?:therefore|thus|hence|so|then|simply|just|exactly|clearly|indeed|approximately|about|roughly"
    r"|equal to|given by|now|therefore:|that is|option|choice)\b[\s,:]*(?=\S))+",
    re.IGNORECASE,
)
_AFTERTHOUGHT = re.compile(
    r"(?:(?<!\bst)(?<!\bdr)(?<!\bmr)(?<!\bms)(?<!\bmt)(?<!\bmrs)(?<!\bprof)\.(?!(?<=\b[A-Z]\.)\s\S+(?:\s\S+)?$)(?=\s|$)"
    r"|[!?;](?=\s|$)|\s[–—]\s|,?\s+(?:because|since|which|where|so that|as (?:we|shown|can|required|the))\b"
    r"|,\s+(?:as|for|and (?:that|this|so|it))\b|\s\((?:checked|verified|i|we|by|as|see|since|because|after)\b).*$",
    re.IGNORECASE | re.DOTALL,
)
_COPULA = re.compile(
    r"\b(?:(?:is|are|was|were)\s+[a-z]+\s+(?:by|on|in|at|as|of|called)|is|are|was|were|equals?|be"
    r"|gives?|gets?|yields?|obtain|makes?|have|find|(?:comes?|amounts?|leads?|adds? up) to"
    r"|arrives? at|land on|with|choose|pick|select|leaves|say|conclude|go with)(?:\s+(?:that|us|me)\b)?[\s:]+(?=\S)",
    re.IGNORECASE,
)
_LISTED = re.compile(r"\s*(?:,|;|,?\s*(?:and|or))\s*", re.IGNORECASE)
_VERDICT = re.compile(
    r"^\s*(?:(?:so|thus|therefore|hence),?\s+)?(yes|no|true|false)\b\s*(?:[,.:;—–]|-\s|$)", re.IGNORECASE
)
_LABEL = re.compile(r"^\s*(?:[^\W\d_]+[ \t]+){0,4}[^\W\d_]{2,}:[ \t]+(?=\S)")
_ONE_NUMBER = re.compile(r"^(?:[^\W\d_]+[\s,]+){2,}([-−]?\$?\d[^\s]*(?:\s+\D{1,20})?)$")


def final_answer(reply: str) -> str:
    """Return the final answer of a reply, with its LaTeX and letters, without markdown and the words around it.

    Never raises. The answer is empty if the reply is. At most the last 4,000 and the first 1,000 characters are
    searched, so the time does not grow with the reply's length.
    """
    said = spoken(reply)
    found = _field(said) or _boxed(said)
    if found is None:
        found = _named(_unmarked(said[-TAIL:]))
    if found is None and len(said) > TAIL:
        found = _boxed(said[:HEAD]) or _named(_unmarked(said[:HEAD]))
    if found is None:
        found = _last_words(said[-TAIL:])
    return found.strip()[-LONGEST:]


def spoken(reply: str) -> str:
    """Return a reply without the model's reasoning; the whole reply if there is nothing else in it."""
    start = 0
    for mark in _THOUGHT_ENDS:
        at = reply.rfind(mark) + len(mark)
        if at >= len(mark):
            start = max(start, at)
    if reply[start : start + TAIL].strip():
        return reply[start:].strip()
    return reply[: max(reply.rfind(opening) for opening in ("<think", "<reasoning"))].strip() or reply.strip()


def _field(said: str) -> str | None:
    """Return the answer's field of a reply that is, or ends with, a JSON object."""
    text = _FENCE.sub("", said[-TAIL:]).strip()
    if not text.endswith("}"):
        return None
    starts = [match.start() for match in re.finditer(r"\{\s*\"", text)]
    for start in starts[:5]:
        try:
            record = json.loads(text[start:], strict=False)
        except (ValueError, RecursionError):  # not JSON, or LaTeX's backslashes inside it
            continue
        fields = {str(name).lower(): value for name, value in record.items()}
        for name in _FIELDS:
            if isinstance(fields.get(name), (str, int, float)):
                return str(fields[name])
    return None


def _boxed(said: str) -> str | None:
    """Return the content of the last box, with nested braces; of a box that was cut, the part that is there."""
    tail = said[-TAIL:]
    boxes = list(_BOX.finditer(tail))
    if not boxes:
        return None
    start, depth = boxes[-1].end(), 1
    for at in range(start, len(tail)):
        depth += {"{": 1, "}": -1}.get(tail[at], 0) if tail[at - 1] != "\\" else 0
        if depth == 0:
            return tail[start:at].strip() or None
    return tail[start:].strip() or None


def _named(lines: str) -> str | None:
    """Return the text after the last "answer is", "Answer:" or a heading of that kind."""
    rows = lines.splitlines()
    for number in range(len(rows) - 1, -1, -1):
        matches = list(_NAMED.finditer(rows[number]))
        below = next((row for row in rows[number + 1 :] if row.strip()), "")
        for match in reversed(matches):
            rest = rows[number][match.end() :]
            if re.search(r"\w", rest):
                return trimmed(rest)
        if (matches or _HEADING.match(rows[number])) and re.search(r"\w", below):
            return trimmed(_tail_of_sentence(below))
    return None


def _last_words(said: str) -> str:
    """Return bold print in the last lines, otherwise the end of the last line."""
    rows = [row for row in _FENCE.sub("", said).splitlines() if re.search(r"[^\W_]", row)]
    if not rows:
        return said
    for row in reversed(rows[-3:]):
        bold = [match for match in _BOLD.finditer(row) if not match[0].rstrip("*_").endswith(":")]
        if bold:
            return trimmed(_tail_of_sentence(_unmarked(row[_first_of_list(row, bold) : bold[-1].end()])))
    verdict = _VERDICT.match(_unmarked(rows[-1]))
    if verdict:
        return verdict[1]
    end = trimmed(_tail_of_sentence(_unmarked(rows[-1])))
    opening = _VERDICT.match(_unmarked(rows[0]))  # "Yes. …", and then the reasons
    return opening[1] if opening and len(end.split()) > 4 else end


def _tail_of_sentence(line: str) -> str:
    """Return the formula or the words at the end of a sentence; a line that is no sentence unchanged."""
    formulas = list(_MATH.finditer(line))
    if formulas:
        words_after = re.findall(r"[^\W\d_]{3,}", line[formulas[-1].end() :])
        start = _first_of_list(line, formulas)
        return line[start:] if len(words_after) < 4 else line[start : formulas[-1].end()]
    label = _LABEL.match(line)
    line = line[label.end() :] if label else line
    verbs = list(_COPULA.finditer(line))
    if verbs:
        return line[verbs[-1].end() :]
    number = _ONE_NUMBER.match(line)
    return number[1] if number else line


def _first_of_list(line: str, marked: list[re.Match[str]]) -> int:
    """Return the start of the list that ends with the last of these matches ("$x = 2$ and $x = 3$")."""
    first = len(marked) - 1
    while first and _LISTED.fullmatch(line[marked[first - 1].end() : marked[first].start()]):
        first -= 1
    return marked[first].start()


def trimmed(answer: str) -> str:
    """Return an answer without filler before it, the reason after it, and the marks of a formula around it."""
    text = _FILLER.sub("", answer.strip()).strip()
    formula = _MATH.match(text)
    if formula:
        inside = next(part for part in formula.groups() if part is not None)
        rest = re.sub(r"\$|\\[()\[\]]", "", text[formula.end() :])
        return f"{inside.strip()} {_AFTERTHOUGHT.sub('', rest).strip()}".strip(" .,;")
    text = _AFTERTHOUGHT.sub("", text).strip() or text
    formulas = list(_MATH.finditer(text))
    if len(formulas) == 1 and len(re.findall(r"[^\W\d_]{3,}", text[: formulas[0].start()])) > 1:
        return trimmed(text[formulas[0].start() :])
    return text.strip().strip('`"“”').rstrip(".,;!")


def _unmarked(text: str) -> str:
    """Return a text without markdown: bold, headings, quotes, bullets, fences."""
    text = _BOLD.sub(lambda match: match[1] or match[2], _FENCE.sub("", text))
    return re.sub(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]?|[-*•][ \t]+)+", "", text, flags=re.MULTILINE)
