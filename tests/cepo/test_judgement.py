"""Reading what a judge says."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.judge_replies import PREFERENCES, RATINGS

from optillm_cerebras_cepo.cepo import verdicts
from optillm_cerebras_cepo.cepo.verdicts import Patterns, read_preference, read_rating

EXPLICIT = ["Rating: {}", "rating:{}", "**Rating:** {}", "Rating: **{}**", "Rating = {}", "Rating\n\n{}"]
IN_A_SENTENCE = ["RATING {}", "I rate this response {}", "It is rated {}"]
WORDS = ["confidence", "Confidence:", "score", "scores 7 of 10,", "steps", "3 steps", "1", "0.5", "95%", "8/10", "[3]"]
WORDS += [
    "**bold**",
    "`x = 4`",
    "rated 1",
    "Score: 9",
    "rate",
    "- ",
    "\n",
    "\n\n1.",
    "# 2",
    "|",
    "$x_1$",
    "better",
    "1 of 2",
]
PROSE = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
SIGNS = st.text(alphabet="Rating: scob[](){}*0123456789./-%of\n")
HOSTILE = [
    "rating ",
    "Rating: [[1]] ",
    "[[",
    "[[1]]",
    "1",
    "1.",
    "rate it ",
    "confidence in the ",
    "\n",
    "Rating: (",
    " ",
]
HOSTILE += ["Better response ", "* ", "\\boxed{", "10 of ", "x"]


@pytest.mark.parametrize(("text", "rating"), RATINGS)
def test_a_reader_and_the_program_take_the_same_rating_from_a_reply(text: str, rating: float | None) -> None:
    """On the scale from 0 to 1, whatever else the judge writes; None where the reply gives no rating."""
    assert read_rating(text) == rating


@pytest.mark.parametrize(("text", "preference"), PREFERENCES)
def test_a_reader_and_the_program_take_the_same_preference_from_a_reply(text: str, preference: int | None) -> None:
    """The first answer, the second, or None where the reply prefers neither."""
    assert read_preference(text) == preference


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("Rating: [[1]]", 1.0),
        ("rating:[1]", 1.0),
        ("RATING 0.5", 0.5),
        ("**Rating:** [[1]]", 1.0),
        ("Rating: 8/10", 0.8),
        ("Rating: [[8/10]]", 0.8),
        ("rating: 8 out of 10.", 0.8),
        ("Rating: .5", 0.5),
        ("Rating: 0 … but then again, Rating: [[1]]", 1.0),
        ("Score: 1", 1.0),
        ("Rating: [[rating]]", None),
        ("Rating: -1", None),
        ("Rating: 11/10", None),
        ("Rating: 1/0", None),
        ("Rating: [[1]]. No: Rating: 3/0", 1.0),
        ("It is 1 of the best.", None),
    ],
)
def test_ratings(text: str, rating: float | None) -> None:
    """Spacing, case, decimals and scales do not matter; nonsense is None."""
    assert read_rating(text) == rating


@given(PROSE, st.sampled_from(EXPLICIT), st.floats(0, 1).map("{:.3f}".format), PROSE)
def test_the_bracketed_rating_is_what_is_read(before: str, label: str, rating: str, after: str) -> None:
    """As the judge was asked to write it, it wins over every other number in the reply, before it and after it."""
    assert read_rating(f"{before} {label.format(f'[[{rating}]]')}\n{after}") == float(rating)


@given(PROSE, st.sampled_from([0, 1]), PROSE)
def test_the_bracketed_preference_is_what_is_read(before: str, better: int, after: str) -> None:
    """It wins over every other number in the reply."""
    assert read_preference(f"{before} Better Response: [[{better}]]\n{after}") == better


@given(
    st.lists(st.tuples(st.sampled_from(EXPLICIT), st.integers(0, 12)), min_size=1, max_size=5),
    st.sampled_from([("[[{}]]", 1), ("[{}]/10", 10)]),
)
def test_the_last_rating_wins(said: list[tuple[str, int]], form: tuple[str, int]) -> None:
    """Among those that are as explicit; where the last one is beyond its scale there is none."""
    written, top = form
    text = "\n".join(label.format(written.format(number)) for label, number in said)
    last = said[-1][1]
    assert read_rating(text) == (last / top if last <= top else None)


@given(st.sampled_from(IN_A_SENTENCE), st.sampled_from(EXPLICIT), st.booleans())
def test_a_rating_after_its_label_wins_over_one_in_a_sentence(sentence: str, label: str, first: bool) -> None:
    """The explanation's words do not undo the verdict, wherever they stand."""
    said = [label.format(0), sentence.format(1)]
    assert read_rating(".\n".join(said if first else reversed(said))) == 0.0


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_the_last_preference_wins(said: list[int]) -> None:
    """One that names a third answer is none, whatever was said before."""
    text = " then ".join(f"Better Response: [[{number}]]" for number in said)
    assert read_preference(text) == (said[-1] if said[-1] < 2 else None)


@given(
    st.integers(1, 100), st.integers(0, 100), st.sampled_from(["{}/{}", "{} of {}", "{} out of {}", "{} (out of {})"])
)
def test_other_scales_are_shares_of_their_top(top: int, number: int, form: str) -> None:
    """So that ratings of two judges can be compared; a number beyond its own scale is no rating."""
    assert read_rating(f"Rating: {form.format(number, top)}.") == (number / top if number <= top else None)
    assert read_rating(f"Rating: {number}%") == number / 100


@given(st.integers(2, 10**6), st.sampled_from([*EXPLICIT, *IN_A_SENTENCE, "Score: {}"]), st.booleans())
def test_a_number_beyond_the_scale_is_no_rating(number: int, label: str, brackets: bool) -> None:
    """Of what scale it is, nobody says; read as it stands, it would beat every right answer."""
    assert read_rating(label.format(f"[[{number}]]" if brackets else number)) is None


@given(st.text() | SIGNS | PROSE)
def test_every_text_has_a_rating_from_0_to_1_or_none(text: str) -> None:
    """And a preference of 0, 1 or none; no text makes a reader raise."""
    for reply in (text, f"Rating: {text}", f"Better Response: {text}", f"Rating: [[{text}]]"):
        rating = read_rating(reply)
        assert rating is None or 0 <= rating <= 1
        assert read_preference(reply) in (0, 1, None)


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("read", [read_rating, read_preference])
def test_the_steps_of_reading_grow_no_faster_than_the_reply(read: Callable[[str], object], piece: str) -> None:
    """Ten times as long a reply takes about ten times as many calls of functions, whatever it repeats."""
    short, long = (calls(read, piece * (size // len(piece))) for size in (2_000, 20_000))
    assert long <= 20 * short


def test_no_pattern_looks_further_than_a_bounded_number_of_characters() -> None:
    """So each of those calls is bounded too: no reply makes a pattern try all lengths of all its runs."""
    assert max(map(widest, patterns())) < 1_000


def calls(read: Callable[[str], object], text: str) -> int:
    """Count the calls of functions, Python's and C's, that reading this text makes."""
    count = 0

    def profile(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        read(text)
    finally:
        sys.setprofile(before)
    return count


def patterns() -> Iterator[re.Pattern[str]]:
    """All patterns that a reply is read by."""
    for value in vars(verdicts).values():
        if isinstance(value, Patterns):
            yield from (value.content, value.label, *value.bare)
        elif isinstance(value, re.Pattern):
            yield value


def widest(pattern: re.Pattern[str]) -> int:
    """The most characters that a match of it can have, as Python's own parser of patterns reckons."""
    parser = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
    return int(parser.parse(pattern.pattern, pattern.flags).getwidth()[1])
