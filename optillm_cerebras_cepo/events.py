"""What can be told of a request while it runs: counts, times and reasons, never a text of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from optillm_cerebras_cepo.chat import Label, Usage
from optillm_cerebras_cepo.errors import CepoError


@dataclass(frozen=True)
class Called:
    """One call is over, after so many seconds."""

    label: Label
    seconds: float
    usage: Usage | None = None
    finish_reason: str | None = None
    error: CepoError | None = None


@dataclass(frozen=True)
class Waits:
    """A call failed and waits so many seconds before it is made again."""

    label: Label
    seconds: float
    error: CepoError


@dataclass(frozen=True)
class Agreed:
    """A candidate's plans are carried out, and so many of them come to the same answer."""

    candidate: int
    agreeing: int
    plans: int


@dataclass(frozen=True)
class Rated:
    """A candidate was rated; None when the judge's reply says no number."""

    candidate: int
    rating: float | None


Event = Called | Waits | Agreed | Rated
Observer = Callable[[Event], None]


def ignore(_: Event) -> None:
    """Nobody is told."""
