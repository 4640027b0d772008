from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statistical_model.population import Mix, population
from statistical_model.questions import SimQuestion, find_question
from statistical_model.texts import answer_line, filler, read_answer, write

shares = st.floats(min_value=0, max_value=1)
sim_questions = st.builds(
    SimQuestion,
    id=st.from_regex(r"[\w.-]{1,8}", fullmatch=True),
    p=shares,
    answer=st.integers(-1000, 1000).map(str) | st.sampled_from("AZ"),
    k=st.integers(1, 25),
    q=st.none() | shares,
    rho=shares,
    level=st.sampled_from(["", "hard"]),
)


@given(sim_questions, st.text(max_size=20))
def test_a_tag_is_read_back(question: Any, around: Any) -> None:
    """The last tag counts, wherever it is."""
    other = SimQuestion("other", 0.5, "7")
    assert find_question(f"{other.text} {around} {question.text} {around}") == question


@given(sim_questions)
def test_chances_are_a_distribution(question: Any) -> None:
    """Over the right answer and k different wrong ones."""
    assert sum(question.chances.values()) == pytest.approx(1)
    assert len(question.chances) == question.k + 1
    assert question.answer not in question.wrong


def test_frequent_wrong_answer() -> None:
    """It has the share q of the wrong samples, and is misleading if it is more probable than the right answer."""
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
    """The error names the mistake."""
    with pytest.raises(ValueError, match=f"sim tag: .*{message}"):
        find_question(f"[[sim {fields}]]")


@pytest.mark.parametrize("text", ["", "[[sim", "[[sim id=1", "]] [[0]]", "[[rating]]"])
def test_no_tag_is_no_question(text: str) -> None:
    """An incomplete tag is none either."""
    assert find_question(text) is None


@given(st.integers(1, 400), st.integers(0, 9))
def test_texts_have_the_requested_length(length: int, seed: int) -> None:
    """Four characters a token including the last line, which can be read back; no blanks at the ends."""
    line = answer_line("17", "42")
    text = write(length, line, random.Random(seed))
    assert len(text) == max(4 * length, len(line)) or text == line
    assert read_answer(text, "17") == "42"
    assert read_answer(text, "1") is None
    assert text.strip() == text
    assert len(filler(length, random.Random(seed)).strip()) == length


def test_math_readers_find_the_answer() -> None:
    """The boxed number, not the question's id; a letter too."""
    from math_verify import parse  # type: ignore[import-untyped]

    assert parse(write(300, answer_line("17", "42"), random.Random(1)))[0] == 42
    from optillm.cepo.cepo import extract_abcd

    assert extract_abcd(answer_line("17", "C")) in ("C", "(")  # the latter is its first-character fallback


def test_population_has_its_mix() -> None:
    """Rounded, in random order and with unique ids; the questions of a level are as documented."""
    questions = population(1000, seed=3)
    assert Counter(question.level for question in questions) == {
        "easy": 400,
        "medium": 300,
        "hard": 200,
        "misleading": 100,
    }
    assert len({question.id for question in questions}) == 1000
    assert all(question.misleading == (question.level == "misleading") for question in questions)
    assert all(0.85 <= question.p <= 0.99 for question in questions if question.level == "easy")
    assert len({question.level for question in questions[:20]}) > 1
    assert all(find_question(question.text) == question for question in questions)


def test_population_is_repeatable() -> None:
    """The seed determines it and is part of the ids, so that two populations can be used in one run."""
    assert population(50, seed=1) == population(50, seed=1)
    assert not {question.id for question in population(50, 1)} & {question.id for question in population(50, 2)}


@given(st.integers(0, 40), st.tuples(shares, shares, shares, shares).filter(lambda four: sum(four) > 0.01))
def test_any_mix_adds_up(n: int, four: Any) -> None:
    """To n questions; each level differs from its share by at most one."""
    counts = Counter(question.level for question in population(n, mix=Mix(*four)))
    assert sum(counts.values()) == n
    for level, share in Mix(*four).shares.items():
        assert abs(counts[level] - n * share / sum(four)) <= 1


@pytest.mark.parametrize(
    "fields", [{"easy": -1}, dict.fromkeys(("easy", "medium", "hard", "misleading"), 0), {"rho": 2}]
)
def test_invalid_mixes_are_refused(fields: dict[str, Any]) -> None:
    """When the mix is created."""
    with pytest.raises(ValueError, match="must"):
        Mix(**fields)
