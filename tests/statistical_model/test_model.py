from __future__ import annotations

import statistics
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from math import log, sqrt
from typing import Any

import pytest

from statistical_model.calls import CallKind, ModelCall
from statistical_model.clients import MODEL
from statistical_model.model import Skills, StatisticalModel
from statistical_model.questions import SimQuestion
from statistical_model.texts import Lengths, read_answer

SHORT = Lengths(**dict.fromkeys([kind.value for kind in CallKind], 10), sigma=0)
QUESTION = SimQuestion("1", 0.6, "42", k=3, q=0.5)


def direct(question: Any) -> Any:
    """Return the messages of a direct question."""
    return [{"role": "user", "content": question.text}]


def model(**skills: Any) -> Any:
    """Return a simulated model with short replies."""
    return StatisticalModel(Skills(lengths=SHORT, **skills))


def is_share(drawn: Any, expected: Any, n: int) -> Any:
    """Return whether a frequency in n independent draws is within four standard errors: 1 in 16,000 is not."""
    return abs(drawn / n - expected) <= 4 * sqrt(expected * (1 - expected) / n) + 1e-9


def answers(call: Any, n: int, **skills: Any) -> Any:
    """Count the answers to n equal calls."""
    simulated = model(**skills)
    return Counter(read_answer(simulated.reply(call, MODEL), call.question.id) for _ in range(n))


@pytest.mark.parametrize("kind", [CallKind.DIRECT, CallKind.EXECUTE])
def test_samples_follow_the_chances(kind: Any) -> None:
    """Each answer has the probability that the question gives it."""
    drawn = answers(ModelCall(kind, QUESTION), 3000)
    assert all(is_share(drawn[answer], chance, 3000) for answer, chance in QUESTION.chances.items())
    assert set(drawn) == set(QUESTION.chances)


@pytest.mark.parametrize(("answer", "one"), [("42", 0.9), ("43", 0.3), (None, 0.3)])
def test_ratings_have_the_given_accuracy(answer: Any, one: Any) -> None:
    """Right answers are rated 1 with rater_right, wrong and missing ones 0 with rater_wrong."""
    simulated = model(rater_right=0.9, rater_wrong=0.7)
    call = ModelCall(CallKind.RATING, QUESTION, (answer,))
    drawn = Counter(simulated.reply(call, MODEL).split("\n")[-1] for _ in range(2000))
    assert set(drawn) == {"Rating: [[0]]", "Rating: [[1]]"}
    assert is_share(drawn["Rating: [[1]]"], one, 2000)


@pytest.mark.parametrize(
    ("quoted", "first"), [(("42", "43"), 0.8), (("43", "42"), 0.2), (("43", "43"), 0.5), (("42", None), 0.8), ((), 0.5)]
)
def test_comparisons_are_two_ratings(quoted: Any, first: Any) -> None:
    """The right one wins with the mean of both accuracies, in either position; ties are random."""
    simulated = model(rater_right=0.9, rater_wrong=0.7)
    call = ModelCall(CallKind.COMPARISON, QUESTION, quoted)
    drawn = Counter(simulated.reply(call, MODEL).split("\n")[-1] for _ in range(2000))
    assert set(drawn) == {"Better Response: [[0]]", "Better Response: [[1]]"}
    assert is_share(drawn["Better Response: [[0]]"], first, 2000)


def test_reviews_have_their_skills() -> None:
    """A review finds the right answer, or keeps the majority, or samples; ties are random."""
    skills = {"review_finds": 0.4, "review_keeps": 0.9}
    fresh = 0.6 * 0.1
    drawn = answers(ModelCall(CallKind.REVIEW, QUESTION, ("43", "42", "43")), 3000, **skills)
    assert is_share(drawn["42"], 0.4 + fresh * 0.6, 3000)
    assert is_share(drawn["43"], 0.6 * 0.9 + fresh * 0.2, 3000)
    absent = answers(ModelCall(CallKind.REVIEW, QUESTION, ("43", None, "44")), 3000, **skills)
    assert is_share(absent["43"], 0.45 + 0.1 * 0.2, 3000)
    assert is_share(absent["42"], 0.1 * 0.6, 3000)
    unreadable = answers(ModelCall(CallKind.REVIEW, QUESTION, (None,)), 3000, **skills)
    assert is_share(unreadable["42"], 0.6, 3000)


def test_final_answers_repeat_the_quoted_one() -> None:
    """Or sample if there is none."""
    assert answers(ModelCall(CallKind.FINAL, QUESTION, ("44",)), 50) == {"44": 50}
    assert is_share(answers(ModelCall(CallKind.FINAL, QUESTION, (None,)), 2000)["42"], 0.6, 2000)


def test_plans_contain_no_answer() -> None:
    """No plan of fifty does."""
    assert answers(ModelCall(CallKind.PLAN, QUESTION), 50) == {None: 50}


@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0])
def test_correlation_is_rho(rho: float) -> None:
    """Two samples of a question correlate with rho over many questions; the mean stays p."""
    simulated = model()
    pairs = []
    for number in range(3000):
        call = ModelCall(CallKind.EXECUTE, SimQuestion(str(number), 0.6, "42", rho=rho))
        first, second = (read_answer(simulated.reply(call, MODEL), str(number)) == "42" for _ in range(2))
        pairs.append((float(first), float(second)))
    firsts, seconds = zip(*pairs, strict=True)
    # The standard error of a correlation of n pairs is at most 1/√n.
    assert statistics.correlation(firsts, seconds) == pytest.approx(rho, abs=4 / sqrt(3000))
    assert is_share(sum(firsts), 0.6, 3000)


def test_same_seed_same_answers() -> None:
    """For each question and kind, regardless of other calls; another seed or model gives other answers."""

    def drawn(seed: int, others: int = 0, name: str = MODEL) -> Any:
        simulated = StatisticalModel(Skills(seed=seed))
        replies = []
        for _ in range(20):
            for other in range(others):
                simulated.answer(direct(SimQuestion(f"other{other}", 0.5, "1")), name)
                simulated.reply(ModelCall(CallKind.PLAN, QUESTION), name)
            replies.append(simulated.answer(direct(QUESTION), name))
        return replies

    assert drawn(1) == drawn(1, others=2)
    assert drawn(1) != drawn(2)
    assert drawn(1) != drawn(1, name="another")
    assert len({reply.text for reply in drawn(1)}) == 20


def test_concurrent_questions_are_independent() -> None:
    """Each question has the same samples, whatever the order of the threads."""
    questions = [SimQuestion(str(number), 0.5, "42") for number in range(20)]

    def ask(simulated: StatisticalModel, threads: int) -> Any:
        with ThreadPoolExecutor(threads) as pool:
            replies = list(
                pool.map(lambda question: (question.id, simulated.answer(direct(question), MODEL)), questions * 10)
            )
        return Counter(replies)

    assert ask(StatisticalModel(), 8) == ask(StatisticalModel(), 1)


def test_lengths_do_not_change_answers() -> None:
    """Neither do lengths nor the order of the solutions in a review change the answers."""
    long, short = StatisticalModel(Skills(lengths=Lengths(direct=300, sigma=1))), model()
    for _ in range(50):
        first, second = (each.answer(direct(QUESTION), MODEL).text for each in (long, short))
        assert read_answer(first, "1") == read_answer(second, "1")
    for quoted in (("43", "42", None), ("42", None, "43")):
        ordered, given = model(), model()
        for _ in range(20):
            replies = [
                each.reply(ModelCall(CallKind.REVIEW, QUESTION, order), MODEL)
                for each, order in ((ordered, (None, "42", "43")), (given, quoted))
            ]
            assert replies[0] == replies[1]


def test_lengths_are_lognormal() -> None:
    """With the given mean and standard deviation of the logarithm."""
    simulated = StatisticalModel(Skills(lengths=Lengths(direct=300, sigma=0.5)))
    lengths = [simulated.answer(direct(QUESTION), MODEL).completion_tokens for _ in range(3000)]
    assert statistics.mean(lengths) == pytest.approx(300, rel=0.05)
    assert statistics.stdev(log(length) for length in lengths) == pytest.approx(0.5, rel=0.1)
    exact = StatisticalModel(Skills(lengths=Lengths(direct=300, sigma=0)))
    assert {exact.answer(direct(QUESTION), MODEL).completion_tokens for _ in range(20)} == {300}


def test_replies_are_cut() -> None:
    """At the limit, with finish_reason `length`; a reply of exactly the limit is complete."""
    simulated = StatisticalModel(Skills(lengths=Lengths(direct=300, sigma=0)))
    text, finish_reason, length = simulated.answer(direct(QUESTION), MODEL, 299)
    assert (len(text), finish_reason, length) == (4 * 299, "length", 299)
    assert read_answer(text, "1") is None
    assert simulated.answer(direct(QUESTION), MODEL, 300).finish_reason == "stop"


def test_a_call_without_a_question_is_an_error() -> None:
    """The error names the missing or invalid tag."""
    with pytest.raises(ValueError, match="contains a tag"):
        StatisticalModel().answer([{"role": "user", "content": "hello"}], MODEL)
    with pytest.raises(ValueError, match="sim tag"):
        StatisticalModel().answer([{"role": "user", "content": "[[sim id=1]]"}], MODEL)


@pytest.mark.parametrize("fields", [{"rater_right": 1.1}, {"review_finds": -0.1}, {"review_keeps": float("nan")}])
def test_invalid_skills_are_refused(fields: dict[str, Any]) -> None:
    """When the skills are created."""
    with pytest.raises(ValueError, match="must be from 0 to 1"):
        Skills(**fields)


@pytest.mark.parametrize("fields", [{"plan": 0}, {"sigma": -1}, {"sigma": 9}, {"rating": float("inf")}])
def test_invalid_lengths_are_refused(fields: dict[str, Any]) -> None:
    """When the lengths are created."""
    with pytest.raises(ValueError, match="must be from"):
        Lengths(**fields)
