"""Reading what a judge says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.cepo.judgement import read_preference, read_rating

FRAMES = [
    "Rating: [[{}]]",
    "rating:[{}]",
    "RATING {}",
    "**Rating:** [[{}]]",
    "Rating: **{}**",
    "Rating : {}.",
    "Rating = [[ {} ]]",
    "I give this a rating of {}",
    "Rating: $[[{}]]$",
    "Rating:\n\n[[{}]]",
]


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("Rating: [[1]]", 1.0),
        ("rating:[1]", 1.0),
        ("RATING 0.5", 0.5),
        ("**Rating:** [[1]]", 1.0),
        ("Rating: 8/10", 0.8),
        ("Rating: [[8]]/10", 0.8),
        ("Rating: [[8/10]]", 0.8),
        ("rating: 8 out of 10.", 0.8),
        ("Rating: .5", 0.5),
        ("Rating: 0 … but then again, Rating: [[1]]", 1.0),
        ("Score: 1", 1.0),
        ("Rating: [[rating]]", None),
        ("Rating: -1", None),
        ("Rating: 11/10", None),
        ("Rating: 1/0", None),
        ("Rating: [[1]]. No: Rating: 3/0", None),
        ("It is 1 of the best.", None),
        ("", None),
    ],
)
def test_ratings(text: str, rating: float | None) -> None:
    """Spacing, case, decimals and scales do not matter; nonsense is None."""
    assert read_rating(text) == rating


@given(st.lists(st.tuples(st.sampled_from(FRAMES), st.integers(0, 100)), min_size=1, max_size=5))
def test_the_last_rating_wins(said: list[tuple[str, int]]) -> None:
    """In any notation."""
    text = "\n".join(frame.format(number) for frame, number in said)
    assert read_rating(text) == float(said[-1][1])


@given(st.text() | st.text(alphabet="Ratingscore: [](){}*0123456789./-of\n"))
def test_no_text_makes_a_reader_raise(text: str) -> None:
    """A rating is a number from 0 on, a preference 0 or 1, or there is none."""
    rating = read_rating(f"Rating: {text}")
    assert rating is None or (rating >= 0 and math.isfinite(rating))
    assert read_preference(f"Better Response: {text}") in (0, 1, None)
    read_rating(text)
    read_preference(text)


@pytest.mark.parametrize(
    ("text", "preference"),
    [
        ("Better Response: [[0]]", 0),
        ("better response:[1]", 1),
        ("**Better Response:** [[1]]", 1),
        ("**Better Response: 0**", 0),
        ("The better response is 1.", 1),
        ("Better Response: Response 1", 1),
        ("Better Response: [[0]] … no, Better Response: [[1]]", 1),
        ("Better Response: [[2]]", None),
        ("Better Response: [[1]] … no, Better Response: [[2]]", None),
        ("Better Response: [[0.5]]", None),
        ("Better Response: [[10]]", None),
        ("Better Response: both", None),
        ("", None),
    ],
)
def test_preferences(text: str, preference: int | None) -> None:
    """The same leniency; a third answer is none."""
    assert read_preference(text) == preference


@given(st.lists(st.integers(0, 3), min_size=1, max_size=5))
def test_the_last_preference_wins(said: list[int]) -> None:
    """Also when it cannot be read."""
    text = " then ".join(f"Better Response: [[{number}]]" for number in said)
    assert read_preference(text) == (said[-1] if said[-1] < 2 else None)


def test_a_long_verdict_is_cheap() -> None:
    """Only its end is read."""
    assert read_rating("Rating: [[0]] " + "x" * 100_000 + " Rating: [[1]]") == 1.0
