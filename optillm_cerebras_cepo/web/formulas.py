r"""Formulas in Markdown: a plugin for markdown-it-py that finds them, and their MathML.

Models write `$…$`, `$$…$$`, `\(…\)`, `\[…\]` and `\begin{align}…\end{align}`. The plugins of mdit-py-plugins look for
an end until the end of the text, from each beginning: on purpose that takes minutes. Here each search is limited.
"""

from __future__ import annotations

import html
import re
from collections.abc import MutableMapping, Sequence
from typing import Any
from xml.etree import ElementTree

from latex2mathml.converter import convert_to_element
from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

MOST_LATEX = 2_000  # characters of a formula; a longer one is shown as its source
MOST_LINES = 100
ENDS = {"$$": "$$", r"\[": r"\]", r"\(": r"\)", "$": "$"}  # a longer beginning comes before its own beginning
BLOCKS = ("$$", r"\[")
ENVIRONMENT = re.compile(r"\\begin\{((?:equation|multline|gather|align|alignat|flalign|eqnarray)\*?)\}")
# What the library does not know, and the same under a name that it knows.
SYNONYMS = (("{aligned}", "{align*}"), ("{align}", "{align*}"), ("{gathered}", "{gather}"), ("{dcases}", "{cases}"))
BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")  # LaTeX has none in a formula, some models do


def formulas(markdown: MarkdownIt) -> None:
    """Let a parser find formulas. Use it as a plugin: `markdown.use(formulas)`."""
    markdown.inline.ruler.before("escape", "formula", _inline)
    # `alt` are the blocks that a formula may end.
    markdown.block.ruler.before("fence", "formula_block", _block, {"alt": ["paragraph", "reference", "blockquote"]})
    markdown.add_render_rule("formula", _render_inline)
    markdown.add_render_rule("formula_block", _render_block)


def mathml(latex: str, *, block: bool) -> str:
    """Return a formula as MathML, or as its source if it cannot be converted. It has to be sanitised."""
    if len(latex) <= MOST_LATEX:
        known = latex
        for name, synonym in SYNONYMS:
            known = known.replace(name, synonym)
        try:
            element = convert_to_element(known, display="block" if block else "inline")
            for part in element.iter():  # the library's own function leaves what is in the texts unescaped
                part.text = html.unescape(part.text or "")
            return ElementTree.tostring(element, encoding="unicode")
        except Exception:  # the library has no common class of errors; deep nesting is a RecursionError
            pass
    source = html.escape(latex)
    return f"<pre><code>{source}</code></pre>" if block else f"<code>{source}</code>"


def _inline(state: StateInline, silent: bool) -> bool:
    """Read a formula inside a line of text."""
    mark = next((mark for mark in ENDS if state.src.startswith(mark, state.pos)), None)
    if mark is None:
        return False
    begin = state.pos + len(mark)
    end = state.src.find(ENDS[mark], begin, min(state.posMax, begin + 2 * MOST_LATEX))
    while end > 0 and mark == "$" and state.src[end - 1] == "\\":  # an escaped dollar is part of the formula
        end = state.src.find("$", end + 1, min(state.posMax, begin + 2 * MOST_LATEX))
    latex = state.src[begin:end] if end > 0 else ""
    if not latex.strip() or (mark == "$" and _is_money(state.src, begin, end)):
        return False
    if not silent:
        token = state.push("formula", "math", 0)
        token.content, token.markup = latex.strip(), mark
    state.pos = end + len(ENDS[mark])
    return True


def _is_money(text: str, begin: int, end: int) -> bool:
    """Return whether a dollar is rather a currency's: a space inside of it, or a digit outside."""
    return text[begin].isspace() or text[end - 1].isspace() or text[end + 1 : end + 2].isdigit()


def _block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """Read a formula that begins and ends with a line."""
    start = state.src[state.bMarks[first] + state.tShift[first] : state.eMarks[first]]
    mark = next((mark for mark in BLOCKS if start.startswith(mark)), "")
    environment = None if mark else ENVIRONMENT.match(start)
    if state.is_code_block(first) or not (mark or environment):
        return False
    closing = ENDS[mark] if mark else f"\\end{{{environment[1] if environment else ''}}}"
    lines: list[str] = []
    length = 0
    for number in range(first, last):
        text = state.src[state.bMarks[number] + state.tShift[number] : state.eMarks[number]].strip()
        is_outside = number > first and text and state.sCount[number] < state.blkIndent  # of a list's item
        length += len(text) + 1
        if is_outside or length > 2 * MOST_LATEX or len(lines) > MOST_LINES:
            return False
        lines.append(text)
        if closing in (text[len(mark) :] if number == first else text):
            break
    else:
        return False
    latex = "\n".join(lines)[len(mark) :]
    if not latex.endswith(closing):
        return False
    if mark:
        latex = latex[: -len(closing)]
    if not silent:
        token = state.push("formula_block", "math", 0)
        token.content, token.block = BLANK_LINES.sub("\n", latex).strip(), True
        token.map = [first, first + len(lines)]
        state.line = first + len(lines)
    return True


def _render_inline(_: Any, tokens: Sequence[Token], index: int, __: Any, ___: MutableMapping[str, Any]) -> str:
    token = tokens[index]
    return mathml(token.content, block=token.markup in BLOCKS)


def _render_block(_: Any, tokens: Sequence[Token], index: int, __: Any, ___: MutableMapping[str, Any]) -> str:
    return f"<p>{mathml(tokens[index].content, block=True)}</p>\n"
