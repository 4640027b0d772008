"""Which answers are the same: figures over many sets, and what holds for any set."""

from __future__ import annotations

import time
from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.answer_notations import KINDS
from support.answer_sets import answer_sets
from support.votes import agree, group, majority

from optillm_cerebras_cepo.voting.vote import MISSES, vote

CHOICES = "Which?\nA) 12\nB) 15\nC) 1/2\nD) a dog"
OF_EACH_KIND = 35


def no_algebra(one: str, other: str) -> bool | None:
    """An algebra that never has the time."""
    return None


def test_the_majority_of_right_answers_is_found() -> None:
    """At least 99 times in 100, 97 in each kind, and more often than OptiLLM's vote (cepo.py:954)."""
    from optillm.cepo.cepo import rate_completions_majority

    ours, theirs = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    for kind in KINDS:
        for it in answer_sets(kind, OF_EACH_KIND, seed=2025):
            ours[kind] += majority(it.question, it.answers) in it.right
            theirs[kind] += it.answers.index(rate_completions_majority(list(it.answers))[0]) in it.right
    count = OF_EACH_KIND * len(KINDS)
    share, upstream = sum(ours.values()) / count, sum(theirs.values()) / count
    assert share >= 0.99
    assert share > upstream
    assert {kind: right for kind, right in ours.items() if right < 0.97 * OF_EACH_KIND} == {}


SAME = [
    [
        "1/2",
        "0.5",
        "50%",
        "50\\%",
        "\\frac{1}{2}",
        "\\frac12",
        "x = 1/2",
        "$\\dfrac{1}{2}$",
        "½",
        ".5",
        "\\boxed{0.50}",
    ],
    ["1000", "1,000", "1{,}000", "1\\,000", "1e3", "1 \\times 10^{3}", "10^3", "1.0 × 10³", "1 000", "1000.00"],
    ["-3/4", "−0.75", "-\\frac{3}{4}", "\\frac{-3}{4}", "-75%"],
    ["5/2", "2\\frac{1}{2}", "2 1/2", "2½", "2.5", "x = 5/2 = 2.5"],
    ["3 m/s", "3 \\text{ m/s}", "3\\,\\mathrm{m/s}", "3 metres per second", "3 m s^{-1}", "300 cm/s"],
    ["2 km", "2000 m", "2\\text{ kilometers}", "2"],
    ["$5", "\\$5.00", "5 dollars", "500 cents", "5"],
    ["90°", "90^\\circ", "90 degrees", "$90^{\\circ}$"],
    ["\\frac{\\sqrt{2}}{2}", "1/\\sqrt{2}", "sqrt(2)/2", "√2/2", "0.70711", "\\sin(\\pi/4)"],
    ["x^2+2x+1", "(x+1)^2", "x**2 + 2*x + 1", "(x + 1)(x + 1)", "$1 + 2x + x^{2}$"],
    ["[0, 1)", "\\left[0, 1\\right)", "$[0,1)$", "0 \\le x < 1", "x \\in [0, 1)", "0 <= x < 1"],
    ["\\{1, 2\\}", "{2, 1}", "x = 1 or x = 2", "1 and 2", "1, 2"],
    ["(1, 2)", "\\left(1,2\\right)", "$(1,2)$", "(1.0, 2)"],
    ["(5, 3)", "x = 5, y = 3", "y = 3 and x = 5"],
    ["2^{2023}", "2 \\cdot 2^{2022}"],
    ["(-\\infty, 3]", "(-∞, 3]", "\\left(-\\infty, 3\\right]"],
    ["1/3", "0.333", "0.33333"],
    ["Paris", "paris", "**Paris**", "The capital is **Paris**.", '"Paris"', "\\text{Paris}"],
    ["twelve", "12", "12.0"],
]


@pytest.mark.parametrize("notations", SAME, ids=lambda notations: notations[0])
def test_notations_of_one_answer(notations: list[str]) -> None:
    """Whatever stands first."""
    assert agree("What is it?", notations), group("What is it?", notations)
    assert agree("What is it?", notations[::-1])


SAID = [
    ("How many are there?", [
        "The total number of students is **42**.", "So, 40 + 2 = 42.",
        "$$40+2=\\boxed{42}$$", "**Final Answer:** 42 students", "42 is the answer.", "#### 42",
        "The final answer is $42$. I hope it is correct.", "**Answer: 42**\n\nAsk me if step 2 is not clear.",
    ]),
    ("What is the probability?", [
        "P(A) = 0.375", "**3/8 (0.375)**", "3 out of 8",
        "$$P(X=2) = \\frac{3}{8} = 0.375$$", "Final answer: 3/8 ≈ 0.375",
    ]),
    ("Solve it.", [
        "The answer is $x = 2$ and $x = 3$.", "**x = 2** and **x = 3**", "$x_1 = 2, x_2 = 3$",
        "x = 2 \\quad \\text{or} \\quad x = 3", "$\\boxed{2, 3}$", "3 and 2",
        "The roots are $\\boxed{3}$ and $\\boxed{2}$.",
    ]),
    ("Who wrote it?", [
        "**Jane Austen** wrote it.", "Answer: Jane Austen (1775-1817)",
        "The answer is Jane Austen, the English novelist.", "It was written by **Jane Austen** in 1813.",
    ]),
    ("Is 17 a prime?", ["Yes, 17 is prime.", "**Yes**", "The answer is yes.", "Yes — it has no divisors."]),
    ("How fast is it?", [
        "60 kph", "**Speed = 60 km/h**", "60\\,\\frac{\\text{km}}{\\text{h}}", "1 km/min",
        "Answer: 60 kilometers per hour",
    ]),
    ("How much does she pay?", ["She pays **$18** in total.", "$\\boxed{\\$18}$", "USD 18", "18 dollars"]),
    ("Choose.\nA. red\nB. green\nC. blue", [
        "**C. blue**", "The answer is (C) blue", "C is correct.", "blue", "$\\boxed{\\textbf{(C)}\\ \\text{blue}}$",
        "Option C is right because it is blue, unlike option A.", "c)",
        "**Answer: C**\n\nOption A fails, option B fails too.",
    ]),
    ("Which matrix?", [
        "\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", "$\\begin{bmatrix}1&2\\\\3&4\\end{bmatrix}$",
    ]),
    ("How warm is it?", ["25°C", "$25^\\circ\\text{C}$", "25 degrees Celsius"]),
    ("Which line?", ["The answer is $y = 2x + 3$.", "2x - y + 3 = 0", "y=3+2x"]),
]  # fmt: skip


@pytest.mark.parametrize(("question", "replies"), SAID, ids=[question[:20] for question, _ in SAID])
def test_ways_to_say_one_answer(question: str, replies: list[str]) -> None:
    """Sentences as models write them, the answer in the middle of them too."""
    assert agree(question, replies), group(question, replies)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3 km", "3 m"),
        ("3 apples", "3 oranges"),
        ("0.3", "1/3"),
        ("0.125", "0.1249"),
        ("-3/4", "3/4"),
        ("[0, 1)", "(0, 1]"),
        ("(1, 2)", "(2, 1)"),
        ("(1, 2)", "\\{1, 2\\}"),
        ("x^2+1", "x^2-1"),
        ("\\sqrt{2}", "\\sqrt{3}"),
        ("2\\pi \\text{ cm}", "2\\pi \\text{ km}"),
        ("50", "50%"),
        ("10^{10000000}", "10^{10000001}"),
        ("Paris", "London"),
        ("x ≡ 3 (mod 7)", "x ≡ 3 (mod 5)"),
        ("x = 2 or x = 3", "x = 3"),
        ("x = 5, y = 3", "x = 3, y = 5"),
        ("H_2O", "H_2O_2"),
        ("", "   "),
    ],
)
def test_different_answers(one: str, other: str) -> None:
    """Alike on paper only."""
    assert not agree("What is it?", [one, other])


def test_a_percent_sign_may_be_left_out_where_percent_is_asked_for() -> None:
    """The question says so."""
    assert agree("How many percent is that?", ["50%", "50"])


def test_a_bare_number_joins_the_larger_group_and_links_none() -> None:
    """3 km and 3 m stay apart."""
    assert group("", ["3", "3 m", "3 km", "3 km"]) == ((0, 2, 3), (1,))


@pytest.mark.parametrize(
    "reply",
    ["C", "(C)", "**C**", "C.", "Option C", "\\boxed{C}", "\\boxed{\\text{C}}", "$\\textbf{(C)}$", "The answer is C.",
     "It must be option (C), as shown.", "C) 1/2", "0.5", "\\frac{1}{2}", '{"answer": "C"}', "c", "Answer: C\n\nBye!",
     "At first sight A is right.\nOn second thoughts C is right, by the second law."],
)  # fmt: skip
def test_a_letter_is_read_where_choices_are_offered(reply: str) -> None:
    """Also from the choice's own text."""
    assert agree(CHOICES, [reply, "C"])
    assert not agree(CHOICES, [reply, "A"])


def test_what_two_choices_say_names_neither() -> None:
    """And a letter that is not offered is no choice."""
    question = "Which?\nA) 12\nB) 12.0\nC) 7"
    assert group(question, ["12", "A", "B"]) == ((0,), (1,), (2,))
    assert group(question, ["C and E", "Both C and E"]) == ((0,), (1,))


def test_a_letter_is_no_choice_where_none_is_offered() -> None:
    """OptiLLM reads the first character of any answer (cepo.py:900)."""
    assert group("What is 3 + 4?", ["A quick count: **7**", "A slip: **8**", "7"]) == ((0, 2), (1,))


POOL = st.sampled_from([text for notations in SAME for text in notations] + ["", "?", "no idea", "3 m", "3 km", "3"])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(POOL | st.text(max_size=20), max_size=7), st.sampled_from(["", CHOICES]), st.randoms(use_true_random=False)
)
def test_groups_are_a_partition_in_any_order(answers: list[str], question: str, chance: Random) -> None:
    """Each answer in one group, the largest first; the order of the answers changes no group."""
    groups = group(question, answers)
    assert sorted(index for members in groups for index in members) == list(range(len(answers)))
    assert list(groups) == sorted(groups, key=lambda members: (-len(members), members[0]))
    order = list(range(len(answers)))
    chance.shuffle(order)
    shuffled = vote(question, [answers[index] for index in order]).groups
    assert {frozenset(order[index] for index in members) for members in shuffled} == {frozenset(m) for m in groups}


@settings(deadline=None, max_examples=150)
@given(st.lists(st.text(), max_size=4), st.text())
def test_no_text_makes_it_raise(answers: list[str], question: str) -> None:
    """Nor any question."""
    result = vote(question, answers, no_algebra)
    assert result.agreement is None or 0 <= result.agreement <= 1


@settings(deadline=None, max_examples=150)
@given(st.text(alphabet="\\{}$*_^()[]boxedfrac0123456789.,%/ \nABC:answer is", max_size=80))
def test_no_broken_formula_makes_it_raise(text: str) -> None:
    """Two that are the same agree, if they say anything."""
    vote(CHOICES, [text, text[::-1]], no_algebra)
    assert vote("", [text, text], no_algebra).agreement in (0.5, 1.0, None)


@pytest.mark.parametrize(
    "piece",
    ["word ", "{", "$x^2$ ", "**", "answer is ", "A) ", "(", "1,", "\n", "\\boxed{", '{"a', "```python\nx\n", "```\n"],
)
def test_a_reply_of_100_kb_is_cheap(piece: str) -> None:
    """Only its ends are read: two seconds of processor time, on however busy a machine."""
    long = (piece * 100_000)[:100_000]
    started = time.thread_time()
    assert agree(CHOICES, [f"{long}\nThe answer is C.", "C"])
    vote(CHOICES, [long, long[1:]], no_algebra)
    vote(long, ["C", "D"], no_algebra)
    assert time.thread_time() - started < 2


def test_shares_and_majorities() -> None:
    """Of all answers, read or not."""
    assert vote("", ["1", "2", "1.0", "?"]).agreement == 0.5
    assert (vote("", []).agreement, vote("", ["1"]).agreement) == (None, 1.0)
    assert majority("", ["2", "1", "1.0"]) == 1
    assert majority("", ["2", "1"]) == 0
    assert not agree("", [])


def test_an_algebra_without_time_is_soon_asked_no_more() -> None:
    """A vote over formulas that take for ever waits for few of them."""
    asked: list[tuple[str, str]] = []

    def too_slow(one: str, other: str) -> bool | None:
        asked.append((one, other))
        return None

    assert len(vote("", [f"x^{number} + {number}" for number in range(2, 9)], too_slow).groups) == 7
    assert len(asked) == MISSES


def test_every_order_of_a_mixed_set() -> None:
    """Numbers, words and formulas together."""
    answers = ["\\frac{1}{2}", "0.5", "\\cos(\\pi/3)", "one third", ""]
    found = {frozenset(frozenset(order[i] for i in g) for g in group("", order)) for order in permutations(answers)}
    assert found == {frozenset({frozenset(answers[:3]), frozenset({"one third"}), frozenset({""})})}
