"""Progress events of a request: counts, durations and error reasons. They never contain message text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from optillm_cerebras_cepo.core.chat import Label, Usage
from optillm_cerebras_cepo.core.errors import CepoError, Superseded


@dataclass(frozen=True)
class CallFinished:
    """A call returned a reply or an error after so many seconds."""

    label: Label
    seconds: float
    usage: Usage | None = None
    finish_reason: str | None = None
    error: CepoError | None = None


@dataclass(frozen=True)
class CallDelayed:
    """A call waits so many seconds, for a retry or for a rate limit; `error` is the reason."""

    label: Label
    seconds: float
    error: CepoError


@dataclass(frozen=True)
class CallHedged:
    """A call was not answered within so many seconds, which is later than usual; a second one is made."""

    label: Label
    seconds: float


@dataclass(frozen=True)
class PlansCompared:
    """The plans of a candidate were executed; `groups` of them have the same answer, the largest first.

    The numbers in a group are those of the solutions, from 1, in the order in which they were finished.
    """

    candidate: int
    groups: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class CandidatesCompared:
    """All candidates are finished; `groups` of their numbers have the same answer, the largest first."""

    groups: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class CandidateRated:
    """A candidate was rated; None if the judge's reply contains no rating."""

    candidate: int
    rating: float | None


Event = CallFinished | CallDelayed | CallHedged | PlansCompared | CandidatesCompared | CandidateRated
Observer = Callable[[Event], None]


def ignore(_: Event) -> None:
    """Observe nothing."""


def describe(event: Event) -> str:
    """Return one line for the log and for the client's stream, such as `candidate 2 plan: 412 tokens in 1.3 s`."""
    match event:
        case CallFinished():
            if isinstance(event.error, Superseded):
                return f"{event.label}: cancelled after {event.seconds:.1f} s: {event.error.message}"
            if event.error is not None:
                return f"{event.label}: failed after {event.seconds:.1f} s: {event.error.message}"
            tokens = event.usage.completion_tokens if event.usage else None
            count = "unknown number of" if tokens is None else tokens
            cut = " (cut at its token limit)" if event.finish_reason == "length" else ""
            return f"{event.label}: {count} tokens in {event.seconds:.1f} s{cut}"
        case CallDelayed():
            return f"{event.label}: waiting {event.seconds:.1f} s: {event.error.message}"
        case CallHedged():
            return f"{event.label}: no reply after {event.seconds:.1f} s, later than usual; a second call is made"
        case PlansCompared():
            return f"candidate {event.candidate}: {_agreeing(event.groups)} plans agree"
        case CandidatesCompared():
            return f"{_agreeing(event.groups)} candidates agree"
        case CandidateRated():
            return f"candidate {event.candidate}: {'no rating' if event.rating is None else f'rated {event.rating:g}'}"


def _agreeing(groups: tuple[tuple[int, ...], ...]) -> str:
    return f"{len(groups[0])} of {sum(map(len, groups))}"
