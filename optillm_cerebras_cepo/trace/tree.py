"""How an answer came about, as a tree: candidates, their executed plans, and which of them have the same answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Call = Mapping[str, Any]


@dataclass(frozen=True)
class Solution:
    """An executed plan of a candidate. Solutions with the same group have the same answer; None without a vote."""

    number: int  # from 1, in the order in which they were finished
    group: str | None
    call: Call


@dataclass(frozen=True)
class Candidate:
    """A candidate with what it was made of."""

    number: int
    group: str | None  # of candidates with the same answer; None if they were not compared
    solutions: tuple[Solution, ...]
    answer: Call | None  # the call that wrote the answer; None if there is none
    reviewed: bool
    rating: float | None
    chosen: bool

    def __str__(self) -> str:
        """Return one line, such as `candidate 2: 3 plans (a a b), reviewed, answer A, rated 0.9, chosen`."""
        count = len(self.solutions)
        groups = [solution.group for solution in self.solutions if solution.group]
        parts = [f"{count} plan{'s' if count != 1 else ''} executed" + (f" ({' '.join(groups)})" if groups else "")]
        parts += ["reviewed"] if self.reviewed else []
        parts += ["no answer"] if self.answer is None else [f"answer {self.group}"] if self.group else []
        parts += [f"rated {self.rating:g}"] if self.rating is not None else []
        return f"candidate {self.number}: {', '.join([*parts, *(['chosen'] if self.chosen else [])])}"


def candidates_of(trace: Mapping[str, Any]) -> Iterator[Candidate]:
    """Yield the candidates of a planned request by their numbers."""
    planned = [call for call in trace["calls"] if call["step"] != "direct" and call["candidate"]]
    events, ours = trace["events"], trace.get("cepo_cerebras", {})
    results = {one["candidate"]: one for one in ours.get("candidates", ())}
    compared = _last(event for event in events if event["kind"] == "candidates_compared")
    ratings = {event["candidate"]: event["rating"] for event in events if event["kind"] == "rated"}
    groups = _names(compared, "A")
    for number in sorted({call["candidate"] for call in planned}):
        calls = [call for call in planned if call["candidate"] == number]
        own = (one for one in events if one["kind"] == "plans_compared" and one["candidate"] == number)
        written = [call for call in calls if call["step"] != "rating" and _answered(call)]
        yield Candidate(
            number,
            groups.get(number),
            tuple(_solutions(calls, _names(_last(own), "a"))),
            max(written, key=_end, default=None) if number in results else None,
            any(call["step"] == "review" and _answered(call) for call in calls),
            ratings.get(number),
            bool(results.get(number, {}).get("chosen")),
        )


def _solutions(calls: Sequence[Call], groups: Mapping[int, str]) -> Iterator[Solution]:
    """Yield the executed plans that were accepted."""
    accepted = sorted((call for call in calls if call["step"] == "execute" and _answered(call)), key=_end)
    known = groups if len(groups) == len(accepted) else {}
    for number, call in enumerate(accepted, 1):
        yield Solution(number, known.get(number), call)


def _answered(call: Call) -> bool:
    """Return whether the step could use the reply."""
    return "error" not in call and bool(call.get("usable", True))


def _end(call: Call) -> float:
    return float(call["started"] + call["seconds"])


def _last(events: Iterator[Mapping[str, Any]]) -> Mapping[str, Any]:
    return ([{}, *events])[-1]


def _names(event: Mapping[str, Any], first: str) -> dict[int, str]:
    """Return a letter for each number that was compared; beyond `z`, groups share the last one."""
    letters = [chr(ord(first) + min(index, 25)) for index in range(len(event.get("groups", ())))]
    return {number: letter for letter, group in zip(letters, event.get("groups", ()), strict=True) for number in group}
