"""How an answer came about: candidates, their executed plans, and the groups of equal answers."""

from __future__ import annotations

from typing import Any

from optillm_cerebras_cepo.trace.page import page
from optillm_cerebras_cepo.trace.tree import candidates_of


def call(step: str, candidate: int, started: float, **more: Any) -> dict[str, Any]:
    """Return a call of one second."""
    made = {"step": step, "candidate": candidate, "model": "m", "started": started, "seconds": 1.0}
    return {**made, "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1, "number": 1, **more}


FAILED = {"error": "api_unavailable", "message": "503"}
CALLS = [
    call("plan", 1, 0.0),
    call("execute", 1, 1.0, text="the second <b>solution</b>", seconds=3.0),
    call("execute", 1, 1.0, text="the first solution"),
    call("execute", 1, 1.0, finish_reason="length", usable=False, seconds=0.5),
    call("execute", 1, 1.0, usable=False, seconds=2.0),  # an empty reply
    call("execute", 1, 1.5, **FAILED),
    call("review", 1, 4.0),
    call("final", 1, 5.0, text="the answer"),
    call("rating", 1, 6.0),
    call("plan", 2, 0.0, **FAILED),
    call("execute", 3, 1.0),
    call("final", 3, 5.0),
    call("approaches", 0, 0.0),
]
TRACE: dict[str, Any] = {
    "id": "x",
    "started": "",
    "seconds": 7.0,
    "status": 200,
    "calls": CALLS,
    "waits": [],
    "events": [
        {"kind": "plans_compared", "candidate": 1, "groups": [[1], [2]], "message": ""},
        {"kind": "candidates_compared", "groups": [[3], [1]], "message": ""},
        {"kind": "rated", "candidate": 1, "rating": 0.5, "message": ""},
    ],
    "cepo_cerebras": {"candidates": [{"candidate": 1, "chosen": True}, {"candidate": 3, "chosen": False}]},
}


def test_the_tree_has_each_candidate_with_its_solutions_and_groups() -> None:
    """A failed or cut execution is no solution; the answer is the last text that is no rating."""
    one, two, three = candidates_of(TRACE)
    assert [solution.call["text"] for solution in one.solutions] == ["the first solution", "the second <b>solution</b>"]
    assert [solution.group for solution in one.solutions] == ["a", "b"]
    assert one.answer is not None
    assert one.answer["text"] == "the answer"
    assert [str(candidate) for candidate in (one, two, three)] == [
        "candidate 1: 2 plans executed (a b), reviewed, answer B, rated 0.5, chosen",
        "candidate 2: 0 plans executed, no answer",
        "candidate 3: 1 plan executed, answer A",
    ]


def test_groups_of_other_solutions_are_left_out() -> None:
    """Wrong letters would be worse than none."""
    events = [{"kind": "plans_compared", "candidate": 1, "groups": [[1, 3], [2]], "message": ""}]
    one, *_ = candidates_of({**TRACE, "events": events})
    assert [solution.group for solution in one.solutions] == [None, None]


def test_a_request_without_a_plan_has_no_tree() -> None:
    """A direct answer, and one that failed at once."""
    assert not list(candidates_of({**TRACE, "calls": [call("direct", 0, 0.0), call("direct", 1, 0.0)]}))
    assert not list(candidates_of({"calls": [], "events": []}))


def test_the_page_shows_the_tree() -> None:
    """With the beginnings of the texts, escaped."""
    html = page(TRACE)
    assert "the first solution" in html
    assert "the second &lt;b&gt;solution" in html
    assert html.count('class="chosen"') == 1
