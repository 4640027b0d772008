"""Find the answer that a reply marks as its own: the evidence without which two replies do not agree.

Marks, from the most explicit one: an answer tag, a JSON field, a box, a sentence that names the answer, bold print or a
last line that is nothing but the answer. The last mark counts, because a model that corrects itself writes the
correction below; several boxes or lines in a row are the parts of one answer. A reply without a mark is its own answer
as a whole: no piece of a sentence is taken for it.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

TAIL = 4000  # characters at the end of a reply that are searched for its answer
HEAD = 1000  # characters at its start that are searched too: some replies answer first and explain then
MOST_MARKS = 20  # boxes of a reply, or sentences of a line, that are looked at
LONGEST = 400  # characters of an answer that is read; a longer one is compared as it is written
SHORT = 80  # characters of a line that may be nothing but an answer
MOST_WORDS = 4  # of such a line, if it is neither a number nor a formula

_THOUGHT_ENDS = ("</think>", "</thinking>", "</reasoning>")
_END_TOKEN = re.compile(r"<\|(?:im_\w+|eot_id|end\w*)\|>.{0,200}\Z", re.DOTALL)
_TAG = re.compile(r"<answer>(.*?)</answer>", re.IGNORECASE | re.DOTALL)
_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_NEXT_SENTENCE = re.compile(r"[.!?]\s|\n\s*\n|\b(?:finally|then|thus|hence|therefore|so|instead)\b", re.IGNORECASE)
_PERCENT = re.compile(r"\s*\$?\s*(?:\\?%|percent\b|pct\b)", re.IGNORECASE)  # behind a box
_FENCED = re.compile(r"^[ \t]*```[ \t]*([\w+#-]*)[^\n]*\n(.*?)^[ \t]*```[ \t]*$", re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^[ \t]*```[\w-]*[ \t]*$", re.MULTILINE)
_CODE = re.compile(
    r"^\s*(?:def|class|import|from|for|while|if|return|select|#include|function|var|let|const)\b|[;{]\s*$",
    re.MULTILINE | re.IGNORECASE,
)
_DATA = ("", "text", "txt", "plaintext", "json", "latex", "math", "markdown", "md")  # fenced, but no program
_BOLD = re.compile(  # in a formula, as in x**2, two stars are a power
    r"(?<![\w)*])\*\*(?=[^\s*])([^\n]{0,400}?[^\s*])\*\*(?![\w(*])|(?<!\w)__(?=[^\s_])([^\n]{0,400}?[^\s_])__(?!\w)"
)
_MATH = re.compile(r"\$\$([^$]+)\$\$|\$([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_FIELDS = ("final_answer", "answer", "final answer", "result", "solution", "choice")
# Fields beside the answer's.
_REASONS = frozenset(
    {"reasoning", "explanation", "rationale", "steps", "step", "thought", "thoughts", "thinking", "analysis", "work"}
    | {"confidence"}
)
_NOUN = r"(?:answer|result|solution|final value|respuesta|resultado|réponse|résultat|antwort|ergebnis|lösung)"
_NAMED = re.compile(
    rf"\b{_NOUN}\b(?:\s*\([^()]{{0,40}}\))?(?:\s+(?:to|of|for|here)\b[^:=.\n]{{0,60}}?)?(?:\s+(?:finale?|correcta?))?"
    r"\s*(?:(?:\s(?:is|are|was|be|equals|must be|should be|would be|will be|comes? (?:out )?to|turns out to be"
    r"|es|est|ist|lautet|beträgt))\b|[:=：]|->|→)\s*[:=]?"
    r"|(?:答案|故选|应选|结果)\s*(?:是|为|[:：=])+\s*",
    re.IGNORECASE,
)
_STRONG = re.compile(r"answer|respuesta|réponse|antwort|答案|故选", re.IGNORECASE)
_IS_NAMED = re.compile(
    r"^(?:(?:so|thus|hence|therefore|then)\b,?\s*)?(.{1,80}?)\s+is\s+(?:the|our|my)\s+"
    r"(?:final\s+|correct\s+|right\s+)*(?:answer|solution|result)\s*[.!]?$",
    re.IGNORECASE,
)
_BARE_NAMED = re.compile(r"^(?:final\s+)?answer\s+(\$.+\$|\\\(.+\\\)|\\\[.+\\\])\s*\.?$", re.IGNORECASE)
_HEADING = re.compile(
    r"^[\W_]*(?:(?:my|the|our|final|correct|so|and)\s+)*(?:answer|result|solution)[\W_]*$", re.IGNORECASE
)
_HASHES = re.compile(r"^#{4}[ \t]+(\S.*)$")  # "#### 42", as GSM8K writes it
_FILLER = re.compile(
    r"^(?:[:=\s]+|(?:therefore|thus|hence|so|then|simply|just|exactly|clearly|indeed|approximately|about|roughly"
    r"|probably|likely|equal to|given by|now|therefore:|that is|option|choice)\b[\s,:]*(?=\S))+",
    re.IGNORECASE,
)
_ABBREVIATED = r"(?<!\bno)(?<!\bnos)(?<!\bvs)(?<!\bca)(?<!\bop)(?<!\bvol)(?<!\bapprox)(?<!\bst)(?<!\bdr)(?<!\bmr)" + (
    r"(?<!\bms)(?<!\bmt)(?<!\bmrs)(?<!\bprof)(?<!\bjr)(?<!\bsr)(?<!\betc)(?<!\be\.g)(?<!\bi\.e)(?<!\b[a-z])"
)
_LABEL = re.compile(r"^\\text\s*\{\s*(?:final\s+)?answer\s*[:=]\s*\}\s*", re.IGNORECASE)  # inside a box
_AFTERTHOUGHT = re.compile(
    rf"(?:(?:{_ABBREVIATED}\.|(?<=\b[A-Z])\.(?=\s+[A-Z]\w+\s+\w+\s+\w))(?=\s|$)"
    r"|。|[!?;](?=\s|$)|(?<!\d)\s[–—]\s|\s[–—]\s(?!\d)"
    r"|,?\s+(?:because|since|which|where|so that|as (?:we|shown|can|required|the))\b"
    r"|,\s+(?:as|for|not|and (?:that|this|so|it))\b|\s\((?:checked|verified|i|we|by|as|see|since|because|after)\b).*$",
    re.IGNORECASE | re.DOTALL,
)
# A sentence about the answer, which ends with it: "The volume of the box is 120", "x equals 5".
_STATED = re.compile(r"^.{1,200}\b(?:is|are|was|equals?|es|est|ist)\s+(\S.*)$", re.IGNORECASE | re.DOTALL)
_SENTENCE = re.compile(
    r"\b(?:let|we|is|are|was|were|be|has|have|had|can|could|will|would|need|if|when|since|because|follows?|depends?"
    r"|reasonable|correct|consistent)\b",
    re.IGNORECASE,
)
_CORRECTS = re.compile(r"\b(?:mistake|wrong|wait|actually|correct(?:ion|ed|ing)|instead|slip|error)\b", re.IGNORECASE)
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
_TEXT_IN_LATEX = re.compile(r"\\(?:text|mathrm|textrm|operatorname|begin|end)\s*\{[^{}]{0,20}\}")  # a unit, "and"
_SIGN = r"[\s\d.,:;/%°$€£¥+\-−–*^()\[\]{}|<>=≤≥≈≠√π∞∪∩∅±×·!'²³_&]"
_VALUE = re.compile(
    rf"(?:{_SIGN}|\\[a-zA-Z]+|\\[{{}}|,;! \\]|(?<![a-zA-Z])[a-zA-Z]{{1,2}}(?![a-zA-Z])"
    r"|\b(?:sqrt|sin|cos|tan|log|ln|exp|inf|pi|mod|and|or|theta|am|pm)\b)*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class FinalAnswer:
    """What a reply gives as its answer.

    Attributes:
        text: the answer, with its LaTeX and letters, without markdown and the words around it; the whole reply if none
            is marked.
        marked: whether the reply marks it.
        verbatim: whether it is compared as it is written: a program, or JSON of several fields.

    """

    text: str
    marked: bool = True
    verbatim: bool = False


def final_answer(reply: str, question: str = "") -> FinalAnswer:
    """Return the answer of a reply. Never raise.

    At most the last 4,000 and the first 1,000 characters are searched, so the time does not grow with the length.

    Args:
        reply: the whole reply.
        question: what it answers. Words alone, at the end of a text, are an answer only where something is asked.

    """
    said = spoken(reply)
    asks = "?" in question or "？" in question
    if found := _record(said) or _tagged(said) or _marked(said, asks) or _program(said):
        return found
    if len(said) > TAIL and (found := _marked(said[:HEAD], asks)):
        return found
    verdict = _VERDICT.match(_unmarked(said[:SHORT])) if _ASKS_YES_OR_NO.search(question[-HEAD:].rstrip()) else None
    if verdict:
        return FinalAnswer(verdict[1])
    last = _last_line(said[-TAIL:], asks)
    return FinalAnswer(last) if last else FinalAnswer(said, marked=False)


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


def named_rest(said: str) -> str:
    """Return all that follows the last sentence part that names the answer; the whole reply if there is none."""
    marks = list(_NAMED.finditer(said, max(0, len(said) - TAIL)))
    return said[marks[-1].end() :] if marks else said


def is_value(text: str) -> bool:
    """Return whether a text is a number or a formula without words, as far as its signs tell."""
    if len(text) > 4 * SHORT or not re.search(r"[\d\\=π∞∅]|^[a-zA-Z]$", text):
        return False
    return bool(_VALUE.fullmatch(_TEXT_IN_LATEX.sub("", text)))


def _record(said: str) -> FinalAnswer | None:
    """Return the answer of a reply that is, or ends with, a JSON object or array.

    Fields with reasons do not count. If an answer's field is all that is left, it is the answer; else all fields are.
    """
    text = _FENCE.sub("", said[-TAIL:]).strip()
    if not text.endswith(("}", "]")):
        return None
    opening = r"\{\s*\"" if text.endswith("}") else r"^\[\s*[\[{\"]"
    for match in itertools.islice(re.finditer(opening, text, re.MULTILINE), 5):
        try:
            value = json.loads(text[match.start() :], strict=False)
        except (ValueError, RecursionError):  # not JSON, or LaTeX's backslashes inside it
            continue
        fields = (
            {name: item for name, item in value.items() if str(name).lower() not in _REASONS}
            if isinstance(value, dict)
            else {}
        )
        if len(fields) == 1:
            name, item = next(iter(fields.items()))
            if name.lower() in _FIELDS and isinstance(item, str | int | float):
                return FinalAnswer(str(item).strip())
        return FinalAnswer(json.dumps(fields or value, sort_keys=True), verbatim=True)
    return None


def _tagged(said: str) -> FinalAnswer | None:
    tags = _TAG.findall(said[-TAIL:])
    return FinalAnswer(_unmarked(tags[-1]).strip()) if tags and tags[-1].strip() else None


def _program(said: str) -> FinalAnswer | None:
    """Return the fenced programs of a reply, with their tokens one space apart; or a fenced grid or text."""
    blocks = [(language.lower(), body) for language, body in _FENCED.findall(said)]
    programs = [body for language, body in blocks if language not in _DATA or _looks_like_code(body)]
    if programs:
        return FinalAnswer(" ".join(re.findall(r"\w+|[^\w\s]", " ".join(programs))), verbatim=True)
    if len(blocks) == 1 and said.rstrip().endswith("```") and blocks[0][1].strip():
        return FinalAnswer(blocks[0][1].strip())
    return None


def _looks_like_code(body: str) -> bool:
    return bool(_CODE.search(body))


def _marked(said: str, asks: bool) -> FinalAnswer | None:
    """Return what the last box, or the last sentence that names the answer, has; whichever comes later.

    Behind a box, such a sentence counts only if it has a value, so that "the answer is reasonable" changes nothing.
    """
    tail = _FENCED.sub(lambda block: block[2] if block[1].lower() in _DATA else "", said[-TAIL:])
    boxes, end = _boxes(tail)
    rest = len(_unmarked(tail[:end]))
    for text, place, strong in _named(_unmarked(tail)):
        if boxes:
            corrected = is_value(text) or len(text) <= 2 or _CORRECTS.search(tail[end:])
            if place < rest or not strong or not corrected:
                continue
        if text and (is_value(text) or ((strong or asks) and not _SENTENCE.search(text))):
            return FinalAnswer(text)
        stated = _STATED.match(text)
        if stated and is_value(trimmed(stated[1])):
            return FinalAnswer(trimmed(stated[1]))
    return FinalAnswer(boxes) if boxes else None


def _boxes(tail: str) -> tuple[str | None, int]:
    """Return the content of the last box, or of the boxes that are listed there, and where the last one ends."""
    found: list[tuple[int, int, str]] = []
    for box in list(_BOX.finditer(tail))[-MOST_MARKS:]:
        start, depth = box.end(), 1
        end = start + len(tail[start:].partition("\n")[0])  # of a box that was cut
        for at in range(start, len(tail)):
            depth += {"{": 1, "}": -1}.get(tail[at], 0) if tail[at - 1] != "\\" else 0
            if depth == 0:
                end = at
                break
        if content := tail[start:end].strip():
            found.append((box.start(), end + 1, content))
    if not found:
        return None, 0
    parts = [found[-1]]
    for box_before in reversed(found[:-1]):
        between = tail[box_before[1] : parts[0][0]]
        if len(between) > SHORT or _NEXT_SENTENCE.search(between):  # another sentence
            break
        parts.insert(0, box_before)
    percent = _PERCENT.match(tail, parts[-1][1])
    text = ", ".join(dict.fromkeys(_LABEL.sub("", part[2]) for part in parts)) + ("%" if percent else "")
    return text, parts[-1][1]


def _named(text: str) -> Iterator[tuple[str, int, bool]]:
    """Yield the texts that are named as the answer, the last first: each with its place, and if it says "answer"."""
    rows = text.splitlines(keepends=True)
    ends = list(itertools.accumulate(map(len, rows)))
    below: list[str] = []  # rows with words, the nearest first
    for number in range(len(rows) - 1, -1, -1):
        row, place = rows[number], ends[number] - len(rows[number])
        matches = list(_NAMED.finditer(row))
        rest = row[matches[-1].end() :] if matches else ""
        if below and not re.search(r"\w|∅", rest) and (matches or _HEADING.match(row)):
            yield trimmed(_block(below)), place, True
        for match in matches[: -MOST_MARKS - 1 : -1]:
            if re.search(r"\w|∅", row[match.end() :]):
                yield trimmed(row[match.end() :]), place + match.start(), bool(_STRONG.search(match[0]))
        if hashes := _HASHES.match(row.strip()):
            yield trimmed(hashes[1]), place, True
        elif alone := _BARE_NAMED.match(row.strip()) or _IS_NAMED.match(row.strip()):
            yield trimmed(alone[1]), place, True
        if re.search(r"\w", row):
            below = [row.strip(), *below[: MOST_MARKS - 1]]


def _block(rows: list[str]) -> str:
    """Return the lines below a heading that belong to its answer: values in a row, else the first line."""
    values = []
    for row in rows:
        if not is_value(_bare(row)):
            break
        values.append(_bare(row))
    return _joined(values) if len(values) > 1 else rows[0]


def _last_line(said: str, asks: bool) -> str | None:
    """Return the last line, or the lines of values at the end, if it is nothing but an answer; else None."""
    rows = [row.strip() for row in _FENCE.sub("", said).splitlines()]
    while rows and not re.search(r"\w|∅", rows[-1]):
        rows.pop()
    if not rows:
        return None
    values: list[str] = []
    for row in reversed([row for row in rows if row]):
        if not is_value(_bare(row)) or (values and _ITEM.match(row)):
            break
        values.insert(0, _bare(row))
    if values:
        return trimmed(_joined(values))
    if _MATH.fullmatch(rows[-1].rstrip(".")):
        return _bare(rows[-1])
    if bold := _bold(rows, asks):
        return bold
    verdict = _VERDICT.match(rows[-1])
    if verdict and len(rows) < 2:
        return verdict[1]
    last = _bare(rows[-1])
    if _ITEM.match(rows[-1]):
        return None
    if len(last.split()) > 1 and is_quantity_like(last):
        return trimmed(last)
    alone = len(rows) == 1 or (asks and not rows[-2] and not _after_closing(rows))
    closed = re.search(r"^\[|[.!?…:,\]]$", rows[-1]) or _CLOSING.match(last) or _SENTENCE.search(last)
    return trimmed(last) if alone and len(last.split()) <= MOST_WORDS and not closed else None


def _after_closing(rows: list[str]) -> bool:
    """Return whether the last line is a signature: the line before it closes a letter."""
    before = [row for row in rows[:-1] if row]
    return bool(before) and len(before[-1].split()) <= MOST_WORDS and bool(_CLOSING.match(before[-1]))


def _bold(rows: list[str], asks: bool) -> str | None:
    """Return the bold print of the last line: values, all of the line, or the one name in a reply of one line."""
    found = [match for match in _BOLD.finditer(rows[-1]) if not match[0].rstrip("*_").endswith(":")]
    if not found or _ITEM.match(rows[-1]) or rows[-1].startswith("#"):
        return None
    texts = [trimmed(match[1] or match[2]) for match in found]
    if all(is_value(_bare(text)) or is_quantity_like(text) for text in texts):
        return ", ".join(texts)
    rest = _BOLD.sub("", rows[-1])
    whole = not re.search(r"\w", rest) and not _after_closing(rows) and not _CLOSING.match(texts[0])
    named = len(rows) == 1 and asks and len(rest) <= SHORT and not re.search(r"\b(?:and|or|not)\b|,", rest)
    return texts[0] if len(found) == 1 and (whole or named) else None


def is_quantity_like(text: str) -> bool:
    """Return whether a short line begins with a number and has a few words for its unit behind it."""
    begins = re.match(r"^[-+−$€£¥]?\s*\$?[\d.,/\\]", text)
    return bool(begins) and len(text) <= SHORT and len(text.split()) <= MOST_WORDS


def _bare(row: str) -> str:
    """Return a line without markdown and the marks of a formula around it."""
    text = _unmarked(row, bullets=not re.match(r"^\s*[-*+]\s*[\w\\(]+\S*\s*[-+*/^]", row)).strip().rstrip(".,;。")
    whole = _MATH.fullmatch(text)  # as a whole
    return next(part for part in whole.groups() if part is not None).strip() if whole else text


def _joined(values: list[str]) -> str:
    """Return several lines of values as one answer: assignments as a list, rows of numbers as lines."""
    if all("=" in value for value in values):
        names = [value.split("=")[0].strip() for value in values]
        return ", ".join(values) if len(set(names)) == len(names) else values[-1]
    if all(re.search(r"\d[\s,]+-?\d", value) for value in values):
        return "\n".join(values)
    return values[-1]


def trimmed(answer: str) -> str:
    """Return an answer without filler before it, the reason after it, and the marks of a formula around it."""
    text = _FILLER.sub("", _LABEL.sub("", answer.strip())).strip()
    if text.count("}") > text.count("{"):  # of a command around the answer and its name
        text = re.sub(r"\}\s*(?:\\[\])]|\$+)?\s*\.?$", "", text)
    formula = _MATH.match(text)
    if formula:
        inside = next(part for part in formula.groups() if part is not None)
        rest = re.sub(r"\$|\\[()\[\]]", "", text[formula.end() :])
        return f"{inside.strip()} {_AFTERTHOUGHT.sub('', rest).strip()}".strip(" .,;")
    text = _AFTERTHOUGHT.sub("", text).strip() or text
    formulas = list(_MATH.finditer(text))
    if len(formulas) == 1 and len(re.findall(r"[^\W\d_]{3,}", text[: formulas[0].start()])) > 1:
        return trimmed(text[formulas[0].start() :])
    return text.strip().strip('`"“”').rstrip(".,;!。")


def _unmarked(text: str, *, bullets: bool = True) -> str:
    """Return a text without markdown: bold, headings, quotes, bullets, fences."""
    text = _BOLD.sub(lambda match: match[1] or match[2], _FENCE.sub("", text))
    marks = r"^[ \t]*(?:#{1,3}[ \t]+|#{5,6}[ \t]+|>[ \t]?" + (r"|[-*•][ \t]+" if bullets else "") + r")+"
    return re.sub(marks, "", text, flags=re.MULTILINE)
