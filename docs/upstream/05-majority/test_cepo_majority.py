#!/usr/bin/env python3
"""
Tests for CePO's majority vote: by letters where the answers are choices, else by what the answers are worth
"""

import os
import sys

import pytest

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from optillm.cepo.cepo import extract_abcd, rate_completions_majority

WORK = "Both sides are put together step by step, which leaves one unknown.\n\n"


@pytest.mark.parametrize(
    "right, wrong",
    [
        ([r"\frac{1}{2}", "0.5", r"\dfrac{2}{4}"], ["2", "2"]),
        (["1{,}000", "1000", "10^3"], ["100", "100"]),
        ([r"3\sqrt{2}", r"\sqrt{18}", r"\frac{6}{\sqrt{2}}"], [r"2\sqrt{3}", r"2\sqrt{3}"]),
        (["x^2+2x+1", "(x+1)^2", "1+2x+x^2"], ["x^2+1", "x^2+1"]),
        ([r"\frac{\pi}{2}", r"0.5\pi", r"\frac{1}{2}\pi"], [r"\pi", r"\pi"]),
        (["[0, 1)", r"\left[0, 1\right)", "[0,1)"], ["(0, 1]", "(0, 1]"]),
        ([r"\{1, 2\}", r"\{2, 1\}", r"\left\{1, 2\right\}"], [r"\{1, 3\}", r"\{1, 3\}"]),
    ],
    ids=lambda answers: answers[0],
)
@pytest.mark.parametrize("wrong_first", [False, True])
def test_notations_of_one_answer_vote_together(right, wrong, wrong_first):
    answers = wrong + right if wrong_first else right + wrong
    completions = [f"{WORK}The result is $\\boxed{{{answer}}}$." for answer in answers]
    best, count = rate_completions_majority(completions)
    assert completions.index(best) == (2 if wrong_first else 0)
    assert count == 3


def test_bare_numbers_vote_with_formulas():
    assert rate_completions_majority(["2", "0.5", r"So it is $\boxed{\frac{1}{2}}$."]) == ("0.5", 2)


def test_matrices_vote_too():
    matrix = r"$\boxed{\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}}$"
    matrices = [matrix, matrix.replace("4", "5"), matrix.replace("4", "5")]
    assert rate_completions_majority(matrices) == (matrices[1], 2)


def test_a_completion_without_answer_has_no_vote():
    completions = ["I do not know.", "Nobody knows.", r"It is $\boxed{4}$."]
    assert rate_completions_majority(completions) == (completions[2], 1)


def test_letters_vote_where_the_answers_are_choices():
    completions = ["**Answer:** C", "The answer is B.", r"$\boxed{\text{B}}$", "I cannot say.", "B) Paris"]
    assert rate_completions_majority(completions) == (completions[1], 3)


def test_a_letter_among_formulas_has_no_vote():
    completions = [r"So $\boxed{7}$.", r"So $\boxed{A}$.", r"So $\boxed{7}$."]
    assert rate_completions_majority(completions) == (completions[0], 2)


def test_nothing_to_read():
    assert rate_completions_majority(["Perhaps.", "Who knows?"]) == ("Perhaps.", 0)
    assert rate_completions_majority([]) == (None, 0)


@pytest.mark.parametrize(
    "text, letter",
    [
        ("**Answer:** A", "A"),
        ("Answer: (b)", "B"),
        ("The answer is C, since nothing else fits.", "C"),
        (r"my answer = $\text{D}$", "D"),
        (r"\boxed{\text{A } 2.08\times10^{-6}\,\mathrm{m}}", "A"),
        ("C. Paris", "C"),
        ("**D**", "D"),
        ("Because of that it is 12.", None),
        ("Answer: Dublin", None),
        ("Answer: a dog", None),
        (r"\boxed{20 ^\circ C}", None),
        (r"\boxed{ABC}", None),
        ("12", None),
        ("", None),
    ],
)
def test_extract_abcd(text, letter):
    assert extract_abcd(text) == letter


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
