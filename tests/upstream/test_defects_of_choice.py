"""Defects of OptiLLM's ratings, of its vote, and of its choice among candidates: several, a single one, or none."""

from __future__ import annotations

import json
import threading
from random import Random
from typing import Any

import httpx
import pytest
from optillm.cepo.cepo import rate_completions_absolute, rate_completions_majority
from support.answer_notations import KINDS, Notation
from support.defects import defect
from upstream.conftest import MODEL, Cepo, Simulate, configured, sdk

from optillm_cerebras_cepo.simulator import Rule, Simulator

# docs/upstream/02-ratings


JUDGE = r"\b[Rr]ating\b"  # in what a judge is asked, and nobody else
LIMIT = 333  # tokens of a rating, by which its calls are known
CANDIDATES = Rule(text=("It is 4.", "It is 5."))


def ratings(api: Simulator) -> int:
    """Calls of judges."""
    return sum(call.body["max_tokens"] == LIMIT for call in api.chat_calls)


@defect
def test_a_rating_is_asked_for_twice(simulate: Simulate, run_cepo: Cepo) -> None:
    """One call for each of two candidates."""
    api = simulate(rules=(Rule(JUDGE, text="Rating: [[1]]"), CANDIDATES))
    run_cepo(api, bestofn_n=2, bestofn_max_tokens=LIMIT)
    assert ratings(api) == 2


@defect
def test_tokens_of_ratings_are_not_counted(simulate: Simulate, run_cepo: Cepo) -> None:
    """What OptiLLM reports is what the API has counted."""
    api = simulate(rules=(Rule(JUDGE, text="Rating: [[1]]"), CANDIDATES))
    _, tokens = run_cepo(api, bestofn_n=2)
    assert tokens == api.usage.completion_tokens


@defect
def test_one_wording_of_a_rating_is_read(simulate: Simulate) -> None:
    """The right one of two candidates is chosen, however its judge writes its rating down."""
    right = Rule(rf"(?s)It is 5\..*{JUDGE}", text="**Rating:** [[1]]")
    api = simulate(rules=(right, Rule(JUDGE, text="Rating: [[0]]")))
    candidates, config = ["It is 4.", "It is 5."], configured(bestofn_n=2)
    answer, *_ = rate_completions_absolute("", "Which?", sdk(api), MODEL, candidates, config, {})
    assert answer == "It is 5."


@defect
def test_a_cut_rating_is_a_crash(simulate: Simulate, run_cepo: Cepo) -> None:
    """An answer all the same."""
    api = simulate(rules=(Rule(JUDGE, text="", finish_reason="length"), CANDIDATES))
    assert run_cepo(api, bestofn_n=2)[0]


# docs/upstream/04-candidates


CUT = Rule(text="", finish_reason="length")
# A candidate's calls, each known by what the one before it was answered: plan, execution, review.
STEPS = (Rule("SOLVED", text="REVIEWED"), Rule("PLANNED", search_in="all", text="SOLVED"), Rule(text="PLANNED"))


def judged(*answers: str) -> tuple[Rule, ...]:
    """Return rules for candidates that end with these answers, and for a judge that prefers 5 to 4."""
    return (
        Rule(r"(?s)It is 5\..*It is 4\.", text="Better Response: [[0]]"),
        Rule(r"(?s)It is 4\..*It is 5\.", text="Better Response: [[1]]"),
        Rule("REVIEWED", text=answers),
        *STEPS,
    )


@defect
def test_pairs_are_of_candidates_that_do_not_exist(simulate: Simulate, run_cepo: Cepo) -> None:
    """Two comparisons of the two candidates that are left of three, and the choice is theirs."""
    api = simulate(rules=judged("", "It is 4.", "It is 5."))
    answer, _ = run_cepo(api, bestofn_n=3, bestofn_rating_type="pairwise", bestofn_max_tokens=LIMIT)
    assert answer == "It is 5."
    assert ratings(api) == 2


@defect
def test_pairs_wait_for_each_other(simulate: Simulate, run_cepo: Cepo, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_no_candidate_is_a_crash(simulate: Simulate, run_cepo: Cepo) -> None:
    """An error that says that there is no completion, however they would have been rated."""
    for rating_type in ("absolute", "pairwise", "majority"):
        api = simulate(rules=(Rule(times=1, text="PLANNED"), CUT))
        with pytest.raises(Exception, match="no completion"):
            run_cepo(api, bestofn_rating_type=rating_type)


@defect
def test_a_single_candidate_is_rated(simulate: Simulate, run_cepo: Cepo) -> None:
    """No call of a judge: it is chosen anyway."""
    api = simulate(rules=judged("It is 4."))
    assert run_cepo(api, bestofn_max_tokens=LIMIT)[0] == "It is 4."
    assert ratings(api) == 0


@defect
def test_a_rejected_plan_is_executed(simulate: Simulate, run_cepo: Cepo) -> None:
    """Of two plans the one that was cut is left out; every message of every call has content."""
    api = simulate(rules=(Rule(times=1, text="", finish_reason="length"), *judged("It is 4.")))
    assert run_cepo(api, planning_m=2)[0] == "It is 4."
    sent = [call.body["messages"] for call in api.chat_calls]
    assert sum(len(messages) == 4 for messages in sent) == 1  # executions
    assert all(message["content"] for messages in sent for message in messages)


# docs/upstream/05-majority


OF_EACH_KIND = 20


def readable(notations: list[Notation]) -> list[Notation]:
    """Those in LaTeX that math_verify reads: all but thousands set off by spaces."""
    return [notation for notation in notations if notation.latex and "\\," not in notation.text]


@defect
def test_votes_go_by_the_first_letter() -> None:
    """Of five candidates, three of them right, a right one, in whatever LaTeX they have written it."""
    for kind in ("number", "expression", "brackets"):
        chance = Random(kind)
        for _ in range(OF_EACH_KIND):
            problem = KINDS[kind](chance)
            right, wrong = (readable(notations) for notations in (problem.right, problem.wrong[0]))
            tagged = [(chance.choice(right), True) for _ in range(3)] + [(chance.choice(wrong), False)] * 2
            chance.shuffle(tagged)
            boxed = [f"So it comes down to $\\boxed{{{notation.text}}}$." for notation, _ in tagged]
            answers = [f"{number}. {text}" for number, text in enumerate(boxed, 1)]
            chosen, _ = rate_completions_majority(answers)
            assert tagged[answers.index(chosen)][1], answers
