"""Defects of OptiLLM's choice among candidates: several, a single one, or none."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.defects import defect

from optillm_cerebras_cepo.simulator import Rule, Simulator

Simulate = Callable[..., Simulator]
LIMIT = 333  # tokens of a rating, by which its calls are known
CUT = Rule(text="", finish_reason="length")
# A candidate's calls, each known by what the one before it was answered: plan, execution, review.
STEPS = (
    Rule("SOLVED", text="REVIEWED"),
    Rule("PLANNED", search_in="all", text="SOLVED"),
    Rule(text="PLANNED"),
)


def ratings(api: Simulator) -> int:
    """Calls of judges."""
    return sum(call.body["max_tokens"] == LIMIT for call in api.chat_calls)


def judged(*answers: str) -> tuple[Rule, ...]:
    """Return rules for candidates that end with these answers, and for a judge that prefers 5 to 4."""
    return (
        Rule(r"(?s)It is 5\..*It is 4\.", text="Better Response: [[0]]"),
        Rule(r"(?s)It is 4\..*It is 5\.", text="Better Response: [[1]]"),
        Rule("REVIEWED", text=answers),
        *STEPS,
    )


@defect
def test_pairs_are_of_candidates_that_do_not_exist(simulate: Simulate, run_cepo: Any) -> None:
    """Two comparisons of the two candidates that are left of three, and the choice is theirs."""
    api = simulate(rules=judged("", "It is 4.", "It is 5."))
    answer, _ = run_cepo(api, bestofn_n=3, bestofn_rating_type="pairwise", bestofn_max_tokens=LIMIT)
    assert answer == "It is 5."
    assert ratings(api) == 2


@defect
def test_pairs_wait_for_each_other(simulate: Simulate, run_cepo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both comparisons of two candidates are on their way before either is answered."""
    send, caller, both = httpx.Client.send, threading.current_thread(), threading.Barrier(2)

    def sent(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        if json.loads(request.content or b"{}").get("max_tokens") == LIMIT:
            assert threading.current_thread() is not caller, "nobody else could send the other one"
            both.wait()
        return send(client, request, **options)

    monkeypatch.setattr(httpx.Client, "send", sent)
    api = simulate(rules=judged("It is 4.", "It is 5."))
    answer, _ = run_cepo(api, bestofn_n=2, bestofn_rating_type="pairwise", bestofn_max_tokens=LIMIT)
    assert answer == "It is 5."


@defect
def test_no_candidate_is_a_crash(simulate: Simulate, run_cepo: Any) -> None:
    """An error that says that there is no completion, however they would have been rated."""
    for rating_type in ("absolute", "pairwise", "majority"):
        api = simulate(rules=(Rule(times=1, text="PLANNED"), CUT))
        with pytest.raises(Exception, match="no completion"):
            run_cepo(api, bestofn_rating_type=rating_type)


@defect
def test_a_single_candidate_is_rated(simulate: Simulate, run_cepo: Any) -> None:
    """No call of a judge: it is chosen anyway."""
    api = simulate(rules=judged("It is 4."))
    assert run_cepo(api, bestofn_max_tokens=LIMIT)[0] == "It is 4."
    assert ratings(api) == 0


@defect
def test_a_rejected_plan_is_executed(simulate: Simulate, run_cepo: Any) -> None:
    """Of two plans the one that was cut is left out; every message of every call has content."""
    api = simulate(rules=(Rule(times=1, text="", finish_reason="length"), *judged("It is 4.")))
    assert run_cepo(api, planning_m=2)[0] == "It is 4."
    sent = [call.body["messages"] for call in api.chat_calls]
    assert sum(len(messages) == 4 for messages in sent) == 1  # executions
    assert all(message["content"] for messages in sent for message in messages)
