"""What a vote says of a list of answers, as tests ask for it."""

from __future__ import annotations

from collections.abc import Sequence

from optillm_cerebras_cepo.voting.vote import vote


def group(question: str, answers: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Return the indexes of the answers in groups of equal ones, the largest first, ties by their first index."""
    return vote(question, answers).groups


def majority(question: str, answers: Sequence[str]) -> int:
    """Return the index of the first answer of the largest group."""
    return vote(question, answers).majority[0]


def agree(question: str, answers: Sequence[str]) -> bool:
    """Return whether all answers are equal: true for one answer, false for none."""
    return vote(question, answers).unanimous
