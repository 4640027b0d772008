"""Reading a reply's final answer, and a question's choices."""

from __future__ import annotations

import pytest

from optillm_cerebras_cepo.voting.extraction import final_answer
from optillm_cerebras_cepo.voting.multiple_choice import offered


@pytest.mark.parametrize(
    ("question", "letters"),
    [
        ("Which?\nA) 12\nB) 15\nC) 1/2\nD) a dog", "ABCD"),
        ("Pick: (A) red (B) green (C) blue", "ABC"),
        ("Pick A) red, B) green or C) blue", "ABC"),
        ("Which?\n**A.** red\n**B.** green", "AB"),
        ("Which?\n- A: red\n- B: green", "AB"),
        ("Given\nA) red\nB) green\nC) blue\nwhich are warm?\nA) one of them\nB) two of them", "AB"),
        ("Who was A. Lincoln?", ""),
        ("Vitamin (A) or not?", ""),
        ("Which?\nB) red\nC) green", ""),
        ("What is f(A) at B) or C)?", ""),
        ("", ""),
    ],
)
def test_offered_choices(question: str, letters: str) -> None:
    """Two at least, from A on."""
    assert "".join(offered(question)) == letters


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("I think it is **5**.\n<think>no</think>", "5"),
        ("<think>The answer is 9</think>\n\n7", "7"),
        ("\\boxed{1} and finally \\boxed{\\frac{a}{\\sqrt{b}}}", "\\frac{a}{\\sqrt{b}}"),
        ("The answer is 3.14. It is a famous one.", "3.14"),
        ("## Answer\n\n42\n", "42"),
        ('Here:\n```json\n{"reasoning": "x", "answer": 7}\n```', "7"),
        ("The answer is 5.\n\nWait, no. The answer is 6.", "6"),
        ("We get $x = 5$ and so $y = 7$.", "We get $x = 5$ and so $y = 7$."),
        ("The answer is **x**2 - 1**.", "x**2 - 1"),
        ("Answer: St. Petersburg", "St. Petersburg"),
        ("It is \\boxed{\\left\\{ x = 1, y = 2 \\right.} as we wanted.", "\\left\\{ x = 1, y = 2 \\right."),
        ("The answer is 7.\n" + "Here is why. " * 1000, "7"),
        ("", ""),
    ],
)
def test_final_answers(reply: str, answer: str) -> None:
    """The last thing that is said to be it."""
    assert final_answer(reply).text == answer
