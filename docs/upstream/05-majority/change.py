"""Vote by letters only where the answers are choices, and take equivalent notations for one answer."""

from __future__ import annotations

import ast
import re

import libcst as cst
import libcst.matchers as m
from tree import Checkout, Source, Unexpected, assignment, call, within

LETTER, CHOICES, MATH = "extract_abcd", "majority_vote_mcq", "majority_vote_math"
PATTERNS = "MCQ_PATTERNS"

LINE = r"re.compile(r'^[ \t]*(?:\*{1,2}|_{1,2})?([ABCD])(?:\*{1,2}|_{1,2})?[ \t]*(?:[.):–-].*)?$', re.MULTILINE)"
SENTENCE = r"""[
    0,

    # 10) "The answer is C", "my answer = (C)", "**Answer:** $\text{C}$"
    re.compile(r'\b(?i:answer)\b\W*(?:is|=)?\W*(?:\\text\w*\{\W*)?([ABCD])\b'),
]"""

IS_CHOICE = r'''

def is_choice(match: re.Match) -> bool:
    """
    Return whether the letter that a pattern found stands for a choice.

    A letter of a word does not, nor one behind a number, as in 20 °C, nor the article in "Answer: a dog".
    """
    before, after = match.string[:match.start(1)], match.string[match.end(1):]
    if before[-1:].isalnum() or after[:1].isalnum():
        return False
    if re.search(r"\d", before[match.start():]):
        return False
    return match.group(1) != "a" or not re.match(r"\s+[a-z]", after)


'''

IS_SAME = '''

def is_same_answer(one: Any, other: Any) -> bool:
    """
    Return whether two extracted answers are the same, as 1/2 and 0.5 are. math_verify is not symmetric.
    """
    # A timeout would need signals, which only the main thread can have
    return math_verify.verify(one, other, timeout_seconds=None) or math_verify.verify(other, one, timeout_seconds=None)


'''

FEW = """
if 2 * sum(counts.values()) <= len(completions):
    return None, 0  # most completions name no choice
"""

GROUPS = """
# Answers in different notations are the same answer; a response without one has no vote
groups = []
for response, answer in extracted_answer_map:
    if answer is None:
        continue
    group = next((group for group in groups if is_same_answer(group[0][1], answer)), None)
    if group is None:
        groups.append([(response, answer)])
    else:
        group.append((response, answer))
if groups:
    majority = max(groups, key=len)
    return majority[0][0], len(majority)
"""


def change(checkout: Checkout) -> None:
    """Edit optillm/cepo/cepo.py."""
    source = checkout.source("optillm/cepo/cepo.py")
    source.edit("", assignment(PATTERNS, m.List()), lambda line: _patterns(source, line))
    first = call("pat.search", m.Arg(m.Name("text")))
    one = "next((m for m in pat.finditer(text) if is_choice(m)), None)"
    source.edit(LETTER, first, lambda _: source.expression(one))
    # Its docstring promises None for a text that names no letter.
    source.edit(LETTER, m.Return(m.Subscript()), lambda line: line.with_changes(value=cst.Name("None")))
    source.insert_before(LETTER, IS_CHOICE)

    counted = m.GeneratorExp(for_in=m.CompFor(iter=m.Name("extracted_answer_map"), ifs=[]))
    some = "(answer for _, answer in extracted_answer_map if answer is not None)"
    source.edit(CHOICES, m.Call(m.Name("Counter"), [m.Arg(counted)]), lambda _: source.expression(f"Counter{some}"))
    source.edit(CHOICES, assignment("counts"), lambda line: [line, *source.statements(FEW.lstrip())])

    # A float of Python is no answer to math_verify.
    source.edit(
        "extract_answer_mathverify",
        m.Return(m.List([m.Element(call("float"))])),
        lambda line: line.with_changes(value=source.expression("[sympy.Float(float(response_str))]")),
    )
    beside = m.SimpleStatementLine([m.Import([m.ImportAlias(m.Name("math_verify"))])])
    source.edit("", beside, lambda line: [line, *source.statements("import sympy")])
    source.edit(MATH, assignment("counts", call("Counter")), lambda _: source.statements(GROUPS))
    source.edit(MATH, assignment("common_list"), lambda _: [])
    source.edit(MATH, m.SimpleStatementLine([m.Assign([m.AssignTarget(m.Tuple())])]), lambda _: [])
    source.edit(MATH, m.For(target=m.Tuple(), body=within(m.Return())), lambda _: [])
    source.insert_before(MATH, IS_SAME)


def _patterns(source: Source, line: cst.SimpleStatementLine) -> cst.SimpleStatementLine:
    """Let the last pattern read what its comment says, and put one more after it."""
    patterns = line.body[0].value  # type: ignore[union-attr]
    last = patterns.elements[-1]
    texts = [ast.literal_eval(text.value) for text in m.findall(last, m.SimpleString())]  # type: ignore[attr-defined]
    if len(texts) != 1 or not re.match(texts[0], "Because it is"):
        raise Unexpected(f"the last of {PATTERNS} does not take the first letter of a line for a choice")
    between, added = source.expression(SENTENCE).elements  # type: ignore[attr-defined]
    mended = last.with_changes(value=source.expression(LINE), comma=between.comma)
    elements = [*patterns.elements[:-1], mended, added.with_changes(comma=last.comma)]
    return line.with_deep_changes(patterns, elements=elements)
