"""Stopping rules as pure functions of counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.cepo.best_of_n import confidence, decided

COUNTS = st.lists(st.integers(0, 40), max_size=6)


def test_the_beta_criterion_at_known_points() -> None:
    """P(Beta(v1 + 1, v2 + 1) > 1/2), by hand: 1/2, 3/4, 15/16, 11/16."""
    known = [0.5, 0.75, 0.9375, 0.6875]
    assert [confidence(counts) for counts in ([], [1], [3], [2, 1])] == pytest.approx(known)


@given(COUNTS)
def test_confidence_lies_between_a_half_and_one(counts: list[int]) -> None:
    """The leading answer leads; and what else there is beside the two largest does not matter."""
    assert 0.5 <= confidence(counts) <= 1
    assert confidence(counts) == confidence(sorted(counts)[-2:])


@given(st.integers(0, 40), st.integers(0, 40))
def test_a_vote_more_for_the_leader_makes_it_surer(lead: int, next_one: int) -> None:
    """As long as it is the leader."""
    if lead >= next_one:
        assert confidence([lead + 1, next_one]) > confidence([lead, next_one])


@given(COUNTS, st.integers(0, 20), st.integers(0, 5))
def test_what_is_decided_stays_so(counts: list[int], left: int, to: int) -> None:
    """Whoever gets all the samples that are left, known or new, the leader keeps the lead."""
    if decided(counts, left):
        leader = counts.index(max(counts))
        after = [*counts, 0] if to >= len(counts) else list(counts)
        place = min(to, len(after) - 1)
        after[place] += left
        assert place == leader or after[leader] > after[place]
