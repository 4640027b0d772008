from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.simulator import Mix, SimQuestion, find_question, population
from optillm_cerebras_cepo.simulator.wording import answer_line, filler, read_answer, write

shares = st.floats(min_value=0, max_value=1)
questions = st.builds(
    SimQuestion,
    id=st.from_regex(r"[\w.-]{1,8}", fullmatch=True),
    p=shares,
    answer=st.integers(-1000, 1000).map(str) | st.sampled_from("AZ"),
    k=st.integers(1, 25),
    q=st.none() | shares,
    rho=shares,
    level=st.sampled_from(["", "hard"]),
)


@given(questions, st.text(max_size=20))
def test_a_tag_is_read_back(question: Any, around: Any) -> None:
    """Wherever it stands, the last one counts."""
    other = SimQuestion("other", 0.5, "7")
    assert find_question(f"{other.text} {around} {question.text} {around}") == question


@given(questions)
def test_chances_are_a_distribution(question: Any) -> None:
    """Over the right answer and k wrong ones, all different."""
    assert sum(question.chances.values()) == pytest.approx(1)
    assert len(question.chances) == question.k + 1
    assert question.answer not in question.wrong


def test_strong_distractor() -> None:
    """It has q of the wrong samples, and misleads when that is more than p."""
    question = SimQuestion("1", 0.3, "42", k=3, q=0.8)
    assert question.chances == pytest.approx({"42": 0.3, "43": 0.56, "44": 0.07, "45": 0.07})
    assert question.misleading
    assert not SimQuestion("1", 0.3, "42", k=3).misleading
    assert SimQuestion("1", 0.3, "Y", k=3).wrong == ("Z", "A", "B")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("p=0.5 answer=1", "id must be given"),
        ("id=1 p=2 answer=1", "p must be from 0 to 1"),
        ("id=1 p=nan answer=1", "p must be from 0 to 1"),
        ("id=1 p=much answer=1", "much"),
        ("id=1 p=0.5 anser=1", "did you mean 'answer'"),
        ("id=1 p=0.5 zz=1", "known: id, p"),
        ("id=1 p=0.5 answer=ab", "whole number or a letter"),
        ("id=1 p=0.5 answer=A k=26", "from 1 to 25"),
        ("id= p=0.5 answer=1", "id must be one word"),
        ("id=1 p=0.5 answer=1 q=-1", "q must be"),
        ("id=1 p=0.5 answer=1 rho=1.1", "rho must be"),
    ],
)
def test_mistakes_in_a_tag(fields: dict[str, Any], message: str) -> None:
    """Each is named."""
    with pytest.raises(ValueError, match=f"sim tag: .*{message}"):
        find_question(f"[[sim {fields}]]")


@pytest.mark.parametrize("text", ["", "[[sim", "[[sim id=1", "]] [[0]]", "[[rating]]"])
def test_no_tag_is_no_question(text: str) -> None:
    """Nor is half of one."""
    assert find_question(text) is None


@given(st.integers(1, 400), st.integers(0, 9))
def test_texts_are_as_long_as_asked(length: int, seed: int) -> None:
    """Four characters a token, the last line included, and it can be read back; nothing at the ends to strip."""
    line = answer_line("17", "42")
    text = write(length, line, random.Random(seed))
    assert len(text) == max(4 * length, len(line)) or text == line
    assert read_answer(text, "17") == "42"
    assert read_answer(text, "1") is None
    assert text.strip() == text
    assert len(filler(length, random.Random(seed)).strip()) == length


def test_math_readers_find_the_answer() -> None:
    """The number in the box and not the question's own; its letter too."""
    from math_verify import parse  # type: ignore[import-untyped]

    assert parse(write(300, answer_line("17", "42"), random.Random(1)))[0] == 42
    from optillm.cepo.cepo import extract_abcd

    assert extract_abcd(answer_line("17", "C")) in ("C", "(")  # the latter is its first-character fallback


def test_population_has_its_mix() -> None:
    """To the nearest whole number, in random order, with ids of its own; the levels are what they promise."""
    asked = population(1000, seed=3)
    assert Counter(question.level for question in asked) == {
        "easy": 400,
        "medium": 300,
        "hard": 200,
        "misleading": 100,
    }
    assert len({question.id for question in asked}) == 1000
    assert all(question.misleading == (question.level == "misleading") for question in asked)
    assert all(0.85 <= question.p <= 0.99 for question in asked if question.level == "easy")
    assert len({question.level for question in asked[:20]}) > 1
    assert all(find_question(question.text) == question for question in asked)


def test_population_is_repeatable() -> None:
    """The seed decides, and is part of the ids: two populations can be asked in one run."""
    assert population(50, seed=1) == population(50, seed=1)
    assert not {question.id for question in population(50, 1)} & {question.id for question in population(50, 2)}


@given(st.integers(0, 40), st.tuples(shares, shares, shares, shares).filter(lambda four: sum(four) > 0.01))
def test_any_mix_adds_up(n: int, four: Any) -> None:
    """To n questions, each level within one of its share."""
    counts = Counter(question.level for question in population(n, mix=Mix(*four)))
    assert sum(counts.values()) == n
    for level, share in Mix(*four).shares.items():
        assert abs(counts[level] - n * share / sum(four)) <= 1


@pytest.mark.parametrize(
    "fields", [{"easy": -1}, dict.fromkeys(("easy", "medium", "hard", "misleading"), 0), {"rho": 2}]
)
def test_impossible_mixes_are_refused(fields: dict[str, Any]) -> None:
    """Before a question is made."""
    with pytest.raises(ValueError, match="must"):
        Mix(**fields)
