"""Evidence before agreement: what a reply marks is compared as a whole, and nothing else is."""

from __future__ import annotations

import pytest
from support.votes import agree

from optillm_cerebras_cepo.voting.extraction import final_answer
from optillm_cerebras_cepo.voting.vote import vote

CHOICES = "What is it?\nA) 3\nB) 5\nC) 6\nD) 7"
NONE_OF_THEM = "\n".join(f"{letter}. None of {number}" for number, letter in enumerate("CDEFGHI", 3))
PROGRAM = "```python\ndef f(n):\n    total = {}\n    for i in range(n):\n        total += i\n    return total\n```"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # Numbers in other notations.
        ("0x9c2", "0x9c4"),
        ("2516_8", "2516_9"),
        ("$110_2$", "110"),
        ("0 0 0 4 0 6", "0 0 0 2 0 8"),
        ("1 2\n3 4", "9 9\n3 4"),
        ("```\n1 2\n3 4\n```", "```\n9 9\n3 4\n```"),
        ("2,2,3", "2,3,3"),
        ("{1,1,2}", "{1,2}"),
        ("-2,-2", "-2"),
        ("5 thousand", "5"),
        ("5 MJ", "5 mJ"),
        ("7:30 am", "7:30 pm"),
        ("at least 5", "at most 5"),
        # Prose: a piece of it is no answer.
        ("Mia is a hero, and Leo is a villain.", "Mia is a villain, and Leo is a villain."),
        ("Cannot be determined", "determined"),
        ("THE, City, two", "City, THE, two"),
        ("Brazil won the World Cup in 2002.", "Germany won the World Cup in 2002."),
        ("profit of $500", "loss of $500"),
        ("She has 42 apples. I hope this helps!", "She has 43 apples. I hope this helps!"),
        ("1. Red\n2. Yellow\n3. Blue", "1. Cyan\n2. Magenta\n3. Blue"),
        ("Dear Sam, come at noon.\n\nBest regards,\n[Your Name]", "Dear Ann, stay away.\n\nBest regards,\n[Your Name]"),
        ("Dear Ann,\n\nI am ill.\n\nBest,\n\nJohn", "Dear Bob,\n\nCome at noon.\n\nBest,\n\nJohn"),
        ("It is hot.\n\nIn summary, it is **important**.", "It is cold.\n\nIn summary, it is **important**."),
        ("**Ann** and Bob", "**Ann** and Carl"),
        ("1. 3\n2. 4", "1. 9\n2. 4"),
        ("$2+3t$", "$2+3$"),
        ("$(a+b)^2=a^2+b^2+2ab$", "$(a-b)^2=a^2+b^2-2ab$"),
        ("$3h$", "3"),
        ("$3 t$", "3"),
        ("$2R$", "$2r$"),
        ("$R+2r$", "$2R+r$"),
        ("5 hours 6 m", "5 hours 6 s"),
        ("$3m$", "3"),
        ("$3m$", "$3n$"),
        ("$3m$", "$4m$"),
        ("5 ft 6 in", "5 ft 7 in"),
        ("5 boys 6 girls", "11 boys"),
        ("4 July 1776", "5 July 1776"),
        ("May 2020", "2020-05-01"),
        ("25 °C", "25 K"),
        ("Yes, if it rains.", "Yes, unless it rains."),
        ("The answer is 5 for even n and 6 for odd n.", "The answer is 5 for even n and 7 for odd n."),
        # A later mark, and all parts of one.
        ("Answer: Let x be the count.\nx = 18\nans = 18", "Answer: Let x be the count.\nx = 21\nans = 21"),
        ("\\boxed{5}\n\nI made a mistake. The answer is 6.", "5"),
        ("The roots are $\\boxed{1}$ and $\\boxed{-2}$.", "The only root is $\\boxed{-2}$."),
        ("$x = 3$\n\n$y = 4$", "$x = 5$\n\n$y = 4$"),
        ("(a) 5 (b) 4", "(a) 5 (b) 3"),
        # Programs and records.
        (PROGRAM.format(0), PROGRAM.format(1)),
        (PROGRAM.format(0), PROGRAM.format(0).replace("    return", "        return")),
        ('{"name":"Ann","answer":"x"}', '{"name":"Bob","answer":"x"}'),
        # Formulas.
        ("- x**2 + 1", "x**2 + 1"),
        ("$2^{70}$", "$2^{70}-1$"),
        ("$2^{-80}$", "0"),
        ("$100!$", "$100!+1$"),
        ("$\\frac12+\\frac13=\\frac56$", "$\\frac12+\\frac13=\\frac25$"),
        ("$x^2+y^2=25$", "25"),
        ("$7 = 11a+c$", "$11a+c$"),
        ("$\\boxed{28}$ percent", "28"),
        ("$I = \\frac{V}{R}$", "$I = \\frac{R}{V}$"),
        ("$x^2+1=0$", "$x^2+4=0$"),
        ("$|x+1|$", "$x+1$"),
        ("$\\sin(x)=\\frac12$", "$\\cos(x)=\\frac12$"),
        ("\\text{CO}", "\\text{Co}"),
    ],
)
def test_what_differs(one: str, other: str) -> None:
    """A false agreement would end the search on whatever came first."""
    assert not agree("What is it?", [one, other]), (final_answer(one), final_answer(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<answer>0.5</answer>", "1/2"),
        ("\\[\\text{ANSWER: 199}\\]", "ANSWER: 199"),
        ("\\boxed{\\text{ANSWER: } 352}", "352"),
        ("Case 1 gives \\boxed{3}. So E = 432. ANSWER: 432", "432"),
        ("asin(x) + 1", "1 + asin(x)"),
        (PROGRAM.format(0), PROGRAM.format(0).replace(" = ", "=") + "\nIt adds them."),
        ('{"a": 1, "b": [2, 3]}', '{\n  "b": [2, 3],\n  "a": 1\n}'),
        ("7.00 1.00 5.00", "7 1 5"),
        ("$10\\text{ cm}^2$", "10 square centimeters"),
        ("42 is the answer", "42"),
        ("(0.3333, 0.6667)", "$(\\frac13,\\frac23)$"),
        ("$(1+i)^2$", "$2i$"),
        ("$\\cos 60^\\circ$", "$\\frac12$"),
        ("$\\frac{n!}{k!(n-k)!}$", "$\\binom nk$"),
        ("10 newtons", "$10\\text{ kg·m/s}^2$"),
        ("The answer is 9.81 meters per second squared.", "$9.81\\,\\mathrm{m\\,s^{-2}}$"),
        ("5 acres", "$5$ acre"),
        ("5 ft 6 in", "66 inches"),
        ("The answer is 1 hour and 30 minutes.", "1.5 h"),
        ("July 4th, 1776", "1776-07-04"),
        ("July 4th, 1776", "1776-7-4"),
        ("4 Jul. 1776", "The answer is the 4th of July, 1776."),
        ('{"a": 1.0}', '{"a": 1}'),
        ("$(a+b)^2=a^2+b^2+2ab$", "$(a+b)^2=a*a+b*b+2ab$"),
        ("$2R+r$", "$r+2R$"),
        ("5m", "5 metres"),
        ("$3m$", r"$m \cdot 3$"),
        ("$3m$", "$3m$"),
        ("$a+b = 2+3 = 5$", "5"),
        (r"$i^{5}=i^{4} \cdot i=1 \cdot i=i$", "The answer is i**(5)=i**(4) * i=1 *i=i"),
        ("1 million", "1,000,000"),
        ("1.000,99", "1000.99"),
        ("1.234.567", "1234567"),
        ("$0.\\overline{3}$", "1/3"),
        ("forty-two", "42"),
        ("There is no solution.", "$\\varnothing$"),
        ("答案：42", "42"),
        ("Die Antwort ist 42.", "La respuesta es 42."),
        ("La réponse est 42.", "42"),
        ("$2x - y + 3 = 0$", "$y = 2x + 3$"),
        ("x = 5", "5"),
        ("$i^{7}=i^{4} \\cdot i^{3}=-i$", "$-i$"),
        ("$\\boxed{28}$ percent", "28%"),
        ("12<|im_end|>", "12"),
        ("\\boxed{5}\n\nIn the check, the result is 10.", "5"),
    ],
)
def test_what_is_the_same(one: str, other: str) -> None:
    """A false difference would cost calls."""
    assert agree("What is it?", [one, other]), (final_answer(one), final_answer(other))


@pytest.mark.parametrize(
    ("question", "one", "other"),
    [
        (CHOICES, "The value is \\boxed{4.07}. ANSWER: D", "D"),
        (CHOICES, "ANSWER: D (7)", "D"),
        (CHOICES, "The answer is 7.", "(D)"),
        ("Which?\nA. (i) only\nB. (i) and (ii) only", "The answer is (i) and (ii) only.", "B"),
        (f"Which?\nA. (i) only\nB. (i) and (ii) only\n{NONE_OF_THEM}", "The answer is (i) and (ii) only.", "B"),
        ("Which?\na) red\nb) green", "b) green", "green"),
        ("Which?\n1) red\n2) green", "2)", "green"),
        ("Which?\ni) red\nii) green", "(ii)", "green"),
        ("Which holds?\nA. It is so, because of it.\nB. Not so.", "A", "The answer is It is so, because of it.."),
    ],
)  # fmt: skip
def test_letters_and_what_they_stand_for(question: str, one: str, other: str) -> None:
    """Labels of any kind, where the question asks to choose."""
    assert agree(question, [one, other])


def test_an_order_counts_where_the_question_asks_for_one() -> None:
    """Else a list is a set in which elements may repeat."""
    assert agree("Which are the roots?", ["3, 1, 2", "1, 2, 3"])
    assert not agree("Which permutation is it?", ["3, 1, 2", "1, 2, 3"])


def test_words_at_the_end_are_an_answer_only_where_something_is_asked() -> None:
    """The last line of a poem or a letter is none."""
    replies = ["Silent autumn night\n\nmoonlight", "Morning in the spring\n\nmoonlight"]
    assert agree("What is it?", replies)
    assert not agree("Write a haiku.", replies)
    tips = ["1. Eat\n2. Sleep\n\nThe result is better health.", "1. Run\n2. Rest\n\nThe result is better health."]
    assert not agree("Give tips.", tips)


def test_versions_are_no_decimals() -> None:
    """1.10 comes after 1.9."""
    assert not agree("What version of it is the newest?", ["1.10", "1.1"])
    assert agree("What is it?", ["1.10", "1.1"])


def test_two_letters_in_one_sentence_select_none() -> None:
    """In different sentences, the last one counts."""
    assert not agree(CHOICES, ["A is correct, but B is correct too.", "A"])
    assert not agree(CHOICES, ["A is correct, but B is correct too.", "B"])
    assert agree(CHOICES, ["A is correct.\nNo: B is correct.", "B"])


def test_a_yes_at_the_beginning_answers_a_question_for_yes_or_no() -> None:
    """Whatever reasons follow; to another question it is no answer."""
    replies = ["Yes.\n\nIt has no divisors.", "Yes, because nothing divides it.\n\nI tried them all."]
    assert agree("Is 17 a prime?", replies)
    assert not agree("Write about primes.", replies)


def test_unmarked_replies_have_no_agreement() -> None:
    """They agree with nothing but the same words, and the share of a group would say nothing."""
    replies = [
        "It was a dark night in the old town.",
        "The night was long, and nobody came.",
        "Once upon a time it rained.",
    ]
    assert vote("Write a story.", replies).agreement is None
    assert len(vote("Write a story.", [*replies, replies[0] + " "]).groups) == 3
