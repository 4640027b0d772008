"""Vote by letter only if the answers are choices, and count equivalent notations as the same answer."""

from __future__ import annotations

from checkout import Checkout

LETTER, CHOICES, MATH = "extract_abcd", "majority_vote_mcq", "majority_vote_math"

PATTERNS = r"""re.compile(r'^[ \t]*(?:\*{1,2}|_{1,2})?([ABCD])(?:\*{1,2}|_{1,2})?[ \t]*(?:[.):–-].*)?$', re.MULTILINE),

    # 10) "The answer is C", "my answer = (C)", "**Answer:** $\text{C}$"
    re.compile(r'\b(?i:answer)\b\W*(?:is|=)?\W*(?:\\text\w*\{\W*)?([ABCD])\b'),
"""

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

FEW = """\
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
    # The last pattern ends with `.*$` and so accepts any text after the first letter of a line.
    last = r"re\.compile\(r'''(?:(?!''')[\s\S])*\.\*\$(?:(?!''')[\s\S])*''', re\.MULTILINE\),\n(?=\])"
    source.sub("", last, lambda _: PATTERNS)
    one = "next((m for m in pat.finditer(text) if is_choice(m)), None)"
    source.sub(LETTER, r"pat\.search\(text\)", one)
    # The docstring promises None for a text without a letter.
    source.sub(LETTER, r"return text\..*", "return None")
    source.add_before(LETTER, IS_CHOICE)

    source.sub(CHOICES, r"(counts = Counter\(.*)\)", r"\1 if answer is not None)")
    source.add_after(CHOICES, "counts = ", FEW)

    # math_verify does not compare Python floats.
    source.sub("extract_answer_mathverify", r"return \[(float\(.*\))\]", r"return [sympy.Float(\1)]")
    source.sub("", r"^import math_verify\n", r"\g<0>import sympy\n")
    source.remove(MATH, "common_list = ")
    source.remove(MATH, "majority_answer, count = ")
    source.remove(MATH, "for response, answer in ")
    source.replace(MATH, "counts = ", GROUPS)
    source.add_before(MATH, IS_SAME)
