from __future__ import annotations

import statistics as figures
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from math import sqrt
from typing import Any

import pytest

from optillm_cerebras_cepo.simulator import Kind, Lengths, SimQuestion, StatisticalModel, Statistics, read_answer
from optillm_cerebras_cepo.simulator.asked import Asked
from simulator.loops import MODEL

SHORT = Lengths(**dict.fromkeys([kind.value for kind in Kind], 10), sigma=0)
QUESTION = SimQuestion("1", 0.6, "42", k=3, q=0.5)


def direct(question: Any) -> Any:
    """A call that asks nothing but the question."""
    return [{"role": "user", "content": question.text}]


def model(**skills: Any) -> Any:
    """A simulated model of short replies."""
    return StatisticalModel(Statistics(lengths=SHORT, **skills))


def share(drawn: Any, wanted: Any, n: int) -> Any:
    """Whether a frequency of n independent draws is within four standard errors: one such test in 16,000 fails."""
    return abs(drawn / n - wanted) <= 4 * sqrt(wanted * (1 - wanted) / n) + 1e-9


def answers(asked: Any, n: int, **skills: Any) -> Any:
    """The answers of n calls of one shape."""
    simulated = model(**skills)
    return Counter(read_answer(simulated.reply(asked, MODEL), asked.question.id) for _ in range(n))


@pytest.mark.parametrize("kind", [Kind.DIRECT, Kind.EXECUTE])
def test_samples_follow_the_chances(kind: Any) -> None:
    """Right with probability p, the wrong ones as the question says."""
    drawn = answers(Asked(kind, QUESTION), 3000)
    assert all(share(drawn[answer], chance, 3000) for answer, chance in QUESTION.chances.items())
    assert set(drawn) == set(QUESTION.chances)


@pytest.mark.parametrize(("shown", "one"), [("42", 0.9), ("43", 0.3), (None, 0.3)])
def test_ratings_are_as_accurate_as_told(shown: Any, one: Any) -> None:
    """A right answer is rated 1 with rater_right, a wrong one 0 with rater_wrong; no answer is wrong."""
    simulated = model(rater_right=0.9, rater_wrong=0.7)
    asked = Asked(Kind.RATING, QUESTION, (shown,))
    drawn = Counter(simulated.reply(asked, MODEL).split("\n")[-1] for _ in range(2000))
    assert set(drawn) == {"Rating: [[0]]", "Rating: [[1]]"}
    assert share(drawn["Rating: [[1]]"], one, 2000)


@pytest.mark.parametrize(
    ("shown", "first"), [(("42", "43"), 0.8), (("43", "42"), 0.2), (("43", "43"), 0.5), (("42", None), 0.8), ((), 0.5)]
)
def test_comparisons_are_two_ratings(shown: Any, first: Any) -> None:
    """The right one wins with the mean of both accuracies, in either place; equals are a coin's."""
    simulated = model(rater_right=0.9, rater_wrong=0.7)
    asked = Asked(Kind.COMPARISON, QUESTION, shown)
    drawn = Counter(simulated.reply(asked, MODEL).split("\n")[-1] for _ in range(2000))
    assert set(drawn) == {"Better Response: [[0]]", "Better Response: [[1]]"}
    assert share(drawn["Better Response: [[0]]"], first, 2000)


def test_reviews_have_their_skills() -> None:
    """Finds the right answer, else keeps the majority, else samples; among equals it draws."""
    skills = {"review_finds": 0.4, "review_keeps": 0.9}
    fresh = 0.6 * 0.1
    drawn = answers(Asked(Kind.REVIEW, QUESTION, ("43", "42", "43")), 3000, **skills)
    assert share(drawn["42"], 0.4 + fresh * 0.6, 3000)
    assert share(drawn["43"], 0.6 * 0.9 + fresh * 0.2, 3000)
    absent = answers(Asked(Kind.REVIEW, QUESTION, ("43", None, "44")), 3000, **skills)
    assert share(absent["43"], 0.45 + 0.1 * 0.2, 3000)
    assert share(absent["42"], 0.1 * 0.6, 3000)
    unreadable = answers(Asked(Kind.REVIEW, QUESTION, (None,)), 3000, **skills)
    assert share(unreadable["42"], 0.6, 3000)


def test_final_answers_repeat() -> None:
    """What they are shown, or a sample when it says no answer."""
    assert answers(Asked(Kind.FINAL, QUESTION, ("44",)), 50) == {"44": 50}
    assert share(answers(Asked(Kind.FINAL, QUESTION, (None,)), 2000)["42"], 0.6, 2000)


def test_plans_say_no_answer() -> None:
    """Whatever is drawn."""
    assert answers(Asked(Kind.PLAN, QUESTION), 50) == {None: 50}


@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0])
def test_correlation_is_rho(rho: float) -> None:
    """Between two samples of a question, over questions alike; the mean stays p."""
    simulated = model()
    pairs = []
    for number in range(3000):
        asked = Asked(Kind.EXECUTE, SimQuestion(str(number), 0.6, "42", rho=rho))
        first, second = (read_answer(simulated.reply(asked, MODEL), str(number)) == "42" for _ in range(2))
        pairs.append((float(first), float(second)))
    firsts, seconds = zip(*pairs, strict=True)
    # The standard error of a correlation of n pairs is at most 1/√n.
    assert figures.correlation(firsts, seconds) == pytest.approx(rho, abs=4 / sqrt(3000))
    assert share(sum(firsts), 0.6, 3000)


def test_same_seed_same_answers() -> None:
    """Per question and kind, whatever else is asked in between; another seed or model draws anew."""

    def drawn(seed: int, others: int = 0, name: str = MODEL) -> Any:
        simulated = StatisticalModel(Statistics(seed=seed))
        said = []
        for _ in range(20):
            for other in range(others):
                simulated.answer(direct(SimQuestion(f"other{other}", 0.5, "1")), name)
                simulated.reply(Asked(Kind.PLAN, QUESTION), name)
            said.append(simulated.answer(direct(QUESTION), name))
        return said

    assert drawn(1) == drawn(1, others=2)
    assert drawn(1) != drawn(2)
    assert drawn(1) != drawn(1, name="another")
    assert len({said.text for said in drawn(1)}) == 20


def test_concurrent_questions_do_not_meet() -> None:
    """Each question's samples are the same ones, whichever thread comes first."""
    asked = [SimQuestion(str(number), 0.5, "42") for number in range(20)]

    def ask(simulated: StatisticalModel, threads: int) -> Any:
        with ThreadPoolExecutor(threads) as pool:
            said = list(pool.map(lambda question: (question.id, simulated.answer(direct(question), MODEL)), asked * 10))
        return Counter(said)

    assert ask(StatisticalModel(), 8) == ask(StatisticalModel(), 1)


def test_lengths_do_not_change_answers() -> None:
    """Nor does the order in which parallel solutions come to a review."""
    long, short = StatisticalModel(Statistics(lengths=Lengths(direct=300, sigma=1))), model()
    for _ in range(50):
        first, second = (each.answer(direct(QUESTION), MODEL).text for each in (long, short))
        assert read_answer(first, "1") == read_answer(second, "1")
    for shown in (("43", "42", None), ("42", None, "43")):
        ordered, given = model(), model()
        for _ in range(20):
            said = [
                each.reply(Asked(Kind.REVIEW, QUESTION, order), MODEL)
                for each, order in ((ordered, (None, "42", "43")), (given, shown))
            ]
            assert said[0] == said[1]


def test_lengths_are_lognormal() -> None:
    """With the mean as given, and the logarithm's deviation."""
    simulated = StatisticalModel(Statistics(lengths=Lengths(direct=300, sigma=0.5)))
    from math import log

    lengths = [simulated.answer(direct(QUESTION), MODEL).completion_tokens for _ in range(3000)]
    assert figures.mean(lengths) == pytest.approx(300, rel=0.05)
    assert figures.stdev(log(length) for length in lengths) == pytest.approx(0.5, rel=0.1)
    exact = StatisticalModel(Statistics(lengths=Lengths(direct=300, sigma=0)))
    assert {exact.answer(direct(QUESTION), MODEL).completion_tokens for _ in range(20)} == {300}


def test_replies_are_cut() -> None:
    """At the limit, without the last line, and said so; one that just fits is whole."""
    simulated = StatisticalModel(Statistics(lengths=Lengths(direct=300, sigma=0)))
    text, finish_reason, length = simulated.answer(direct(QUESTION), MODEL, 299)
    assert (len(text), finish_reason, length) == (4 * 299, "length", 299)
    assert read_answer(text, "1") is None
    assert simulated.answer(direct(QUESTION), MODEL, 300).finish_reason == "stop"


def test_a_call_without_a_question_is_an_error() -> None:
    """In so many words."""
    with pytest.raises(ValueError, match="carries a tag"):
        StatisticalModel().answer([{"role": "user", "content": "hello"}], MODEL)
    with pytest.raises(ValueError, match="sim tag"):
        StatisticalModel().answer([{"role": "user", "content": "[[sim id=1]]"}], MODEL)


@pytest.mark.parametrize("fields", [{"rater_right": 1.1}, {"review_finds": -0.1}, {"review_keeps": float("nan")}])
def test_impossible_skills_are_refused(fields: dict[str, Any]) -> None:
    """Before anything is asked."""
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        Statistics(**fields)


@pytest.mark.parametrize("fields", [{"plan": 0}, {"sigma": -1}, {"sigma": 9}, {"rating": float("inf")}])
def test_impossible_lengths_are_refused(fields: dict[str, Any]) -> None:
    """Likewise."""
    with pytest.raises(ValueError, match="must be from"):
        Lengths(**fields)
