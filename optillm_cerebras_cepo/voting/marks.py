"""What a reply marks as its answer: with a tag, a JSON field, a box, a program, or a sentence that names the answer."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from optillm_cerebras_cepo.voting.answer_text import (
    FENCE,
    NAME_IN_BOX,
    SENTENCE,
    SHORT,
    bare,
    is_value,
    joined,
    trimmed,
    without_markdown,
)

MOST_MARKS = 20  # boxes of a reply, or sentences of a line, that are looked at
_TAG = re.compile(r"<answer>(.*?)</answer>", re.IGNORECASE | re.DOTALL)
_BOX = re.compile(r"\\f?box(?:ed)?\s*\{")
_NEXT_SENTENCE = re.compile(r"[.!?]\s|\n\s*\n|\b(?:finally|then|thus|hence|therefore|so|instead)\b", re.IGNORECASE)
_PERCENT = re.compile(r"\s*\$?\s*(?:\\?%|percent\b|pct\b)", re.IGNORECASE)  # behind a box
_FENCE_LINE = re.compile(r"[ \t]*```[ \t]*([\w+#-]*)[^`]*")
_CODE = re.compile(
    r"^\s*(?:def|class|import|from|for|while|if|return|select|#include|function|var|let|const)\b|[;{]\s*$",
    re.MULTILINE | re.IGNORECASE,
)
_DATA = ("", "text", "txt", "plaintext", "json", "latex", "math", "markdown", "md")  # fenced, but no program
_FIELDS = ("final_answer", "answer", "final answer", "result", "solution", "choice")
_REASONS = frozenset(  # fields beside the answer's
    re.findall(r"\w+", "reasoning explanation rationale step steps thought thoughts thinking analysis work confidence")
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
# A sentence about the answer, which ends with it: "The volume of the box is 120", "x equals 5".
_STATED = re.compile(r"^.{1,200}\b(?:is|are|was|equals?|es|est|ist)\s+(\S.*)$", re.IGNORECASE | re.DOTALL)
_CORRECTS = re.compile(r"\b(?:mistake|wrong|wait|actually|correct(?:ion|ed|ing)|instead|slip|error)\b", re.IGNORECASE)


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


def named_rest(said: str) -> str:
    """Return all that follows the last sentence part that names the answer; the whole reply if there is none."""
    marks = list(_NAMED.finditer(said))
    return said[marks[-1].end() :] if marks else said


def record(said: str) -> FinalAnswer | None:
    """Return the answer of a reply that is, or ends with, a JSON object or array.

    Fields with reasons do not count. If an answer's field is all that is left, it is the answer; else all fields are.
    """
    text = FENCE.sub("", said).strip()
    if not text.endswith(("}", "]")):
        return None
    opening = r"\{\s*\"" if text.endswith("}") else r"^\[\s*[\[{\"]"
    for match in itertools.islice(re.finditer(opening, text, re.MULTILINE), 5):
        try:
            value = json.loads(text[match.start() :], strict=False, parse_float=_shortest)
        except (ValueError, RecursionError):  # not JSON, or LaTeX's backslashes inside it
            continue
        if isinstance(value, dict):
            value = {name: item for name, item in value.items() if name.lower() not in _REASONS} or value
            name, item = next(iter(value.items()), ("", None))
            if len(value) == 1 and name.lower() in _FIELDS and isinstance(item, str | int | float):
                return FinalAnswer(str(item).strip())
        return FinalAnswer(json.dumps(value, sort_keys=True), verbatim=True)
    return None


def _shortest(number: str) -> int | float:
    """Return a number of JSON as an integer if it is one: 1.0 is 1."""
    value = float(number)
    return int(value) if value.is_integer() else value


def tagged(said: str) -> FinalAnswer | None:
    """Return what the last `<answer>` tag of a reply has."""
    tags = _TAG.findall(said)
    return FinalAnswer(without_markdown(tags[-1]).strip()) if tags and tags[-1].strip() else None


def program(said: str) -> FinalAnswer | None:
    """Return the fenced programs of a reply, each line as `_one_spaced` writes it; or a fenced text at the end."""
    blocks, _ = _fenced(said)
    programs = [body for language, body in blocks if language not in _DATA or _CODE.search(body)]
    if programs:
        lines = [line for body in programs for line in body.expandtabs(4).splitlines() if line.strip()]
        return FinalAnswer("\n".join(map(_one_spaced, lines)), verbatim=True)
    if len(blocks) == 1 and said.rstrip().endswith("```") and blocks[0][1].strip():
        return FinalAnswer(blocks[0][1].strip())
    return None


def _fenced(said: str) -> tuple[list[tuple[str, str]], str]:
    """Return the fenced blocks of a reply, each with its language, and the reply without fences and programs."""
    blocks: list[tuple[str, str]] = []
    outside: list[str] = []
    language = ""
    inside: list[str] | None = None
    for row in said.splitlines():
        fence = _FENCE_LINE.fullmatch(row)
        if inside is None:
            language, inside = (fence[1].lower(), []) if fence else ("", None)
            outside += [] if fence else [row]
        elif fence and not fence[1]:
            blocks.append((language, "\n".join(inside)))
            outside += inside if language in _DATA else []
            inside = None
        else:
            inside.append(row)
    return blocks, "\n".join([*outside, *(inside or [])])  # a block that was cut is text


def _one_spaced(line: str) -> str:
    """Return a line with its indentation, which may have a meaning, and one space between its other tokens."""
    return line[: len(line) - len(line.lstrip())] + " ".join(re.findall(r"\w+|[^\w\s]", line))


def marked(said: str, asks: bool) -> FinalAnswer | None:
    """Return what the last box, or the last sentence that names the answer, has; whichever comes later.

    Behind a box, such a sentence counts only if it has a value, so that "the answer is reasonable" changes nothing.
    """
    _, tail = _fenced(said)
    boxes, end = _boxes(tail)
    rest = len(without_markdown(tail[:end]))
    for text, place, strong in _named(without_markdown(tail)):
        if boxes:
            corrected = is_value(text) or len(text) <= 2 or _CORRECTS.search(tail[end:])
            if place < rest or not strong or not corrected:
                continue
        if text and (is_value(text) or ((strong or asks) and not SENTENCE.search(text))):
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
    text = ", ".join(dict.fromkeys(NAME_IN_BOX.sub("", part[2]) for part in parts)) + ("%" if percent else "")
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
        if not is_value(bare(row)):
            break
        values.append(bare(row))
    return joined(values) if len(values) > 1 else rows[0]
