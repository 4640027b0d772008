from __future__ import annotations

from typing import Any

import pytest
from optillm.cepo.cepo import cepo

from optillm_cerebras_cepo.chat import Message, Question
from optillm_cerebras_cepo.events import Called, Event
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.settings import Settings
from optillm_cerebras_cepo.simulator import (
    Kind,
    Lengths,
    Rule,
    SimQuestion,
    Simulator,
    SimulatorOptions,
    StatisticalModel,
    Statistics,
    read_answer,
    read_call,
)
from simulator.conftest import KEY, Start, sdk
from simulator.loops import MODEL, Direct, OpenAiLike, optillm_config

SURE = SimQuestion("17", 1.0, "42")
OTHER = SimQuestion("16", 1.0, "41")
ABLE = Statistics(rater_right=1, rater_wrong=1)
HISTORY = (
    Message("user", OTHER.text),
    Message("assistant", r"(question 16) The final answer is \boxed{41}."),
    Message("user", "thank you"),
    Message("assistant", "welcome"),
)
FLAT = "\n".join(f"{turn.role.title()}: {turn.content}" for turn in (*HISTORY, Message("user", SURE.text)))
LOOP = {"plan": 4, "execute": 4, "review": 2, "final": 2}


@pytest.mark.parametrize("system", ["", "Be exact."])
@pytest.mark.parametrize("query", [SURE.text, FLAT], ids=["question", "conversation"])
@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, LOOP | {"rating": 4}),
        ({"bestofn_rating_type": "pairwise"}, LOOP | {"comparison": 2}),
        ({"planning_n": 1, "planning_m": 1}, {"plan": 2, "execute": 2, "review": 2, "final": 2, "rating": 4}),
        ({"planning_max_tokens_step4": 0}, {"plan": 4, "execute": 4, "review": 2, "rating": 4}),
    ],
    ids=["absolute", "pairwise", "one plan", "no final"],
)
def test_optillms_calls_are_told_apart(system: str, query: str, changes: dict[str, Any], kinds: Any) -> None:
    """Each as what it is, and the right answer comes out."""
    client = OpenAiLike(ABLE)
    answer, _ = cepo(system, query, client, MODEL, optillm_config(**changes))
    assert client.kinds == kinds
    assert read_answer(answer, "17") == "42"


def test_optillms_fallback_is_a_direct_question() -> None:
    """Every execution cut: the question itself is asked, reviewed and repeated."""
    client = OpenAiLike(Statistics(lengths=Lengths(execute=5000, sigma=0), rater_right=1))
    answer, _ = cepo("", SURE.text, client, MODEL, optillm_config())
    assert client.kinds == LOOP | {"direct": 2, "rating": 4}
    assert read_answer(answer, "17") == "42"


@pytest.mark.parametrize("question", [Question(SURE.text), Question(SURE.text, "Be exact.", HISTORY)])
@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({}, {"plan", "execute", "review", "final", "rating"}),
        ({"bestofn_rating_type": "pairwise"}, {"plan", "execute", "review", "final", "comparison"}),
        ({"use_plan_diversity": True}, {"approaches", "plan", "execute", "review", "final", "rating"}),
        ({"effort": "none"}, {"direct"}),
    ],
    ids=["absolute", "pairwise", "diversity", "none"],
)
def test_our_calls_are_told_apart(question: Any, settings: Any, kinds: Any) -> None:
    """The kind seen is the step that asked, with earlier turns and without."""
    client: Any = Direct(ABLE)
    small = Settings(**{"planning_n": 2, "planning_m": 2, "bestofn_n": 2} | settings)
    solved = RUNTIME.solve(question, small, client, lambda _: None)
    assert read_answer(solved.outcome.answer, "17") == "42"
    assert {kind for _, kind in client.taken} == kinds
    assert {(step, kind) for step, kind in client.taken if step != kind} <= {("rating", "comparison")}
    assert solved.degraded == ()


def test_as_many_approaches_as_asked() -> None:
    """And the number in the question is not taken for it."""
    messages = [{"role": "user", "content": f'propose 5 different "approach_1" for {SURE.text}'}]
    asked = read_call(messages)
    assert asked is not None
    assert (asked.kind, asked.wanted) == (Kind.APPROACHES, 5)


LINE = r"(question 17) The final answer is \boxed{%s}."


@pytest.mark.parametrize(
    ("text", "kind", "shown"),
    [
        (f"Response 1:\n{LINE % 4}\n\nResponse 2:\nnone\n\n{SURE.text}", Kind.REVIEW, ("4", None)),
        (
            f"{SURE.text} Response 0: {LINE % 4} Response 1: {LINE % 5} Better Response: [[0]]",
            Kind.COMPARISON,
            ("4", "5"),
        ),
        (f"{SURE.text} Response 0: Response 1: {LINE % 5} Better Response: [[0]]", Kind.COMPARISON, (None, "5")),
        (f"{SURE.text} {LINE % 4} Rating: [[0]]", Kind.RATING, ("4",)),
        (f"{SURE.text} Rating: [[0]]", Kind.RATING, (None,)),
        (f"my final solution: {LINE % 5} no, {LINE % 4} {SURE.text}", Kind.FINAL, ("4",)),
        (f"my final solution: {SURE.text}", Kind.FINAL, (None,)),
        (f"what about {LINE % 4}? {SURE.text}", Kind.FINAL, ("4",)),
        (SURE.text, Kind.DIRECT, ()),
    ],
)
def test_answers_are_read_from_what_is_quoted(text: str, kind: Any, shown: Any) -> None:
    """In their order, None where a reply says none."""
    asked = read_call([{"role": "system", "content": "Rating: [[0]]"}, {"role": "user", "content": text}])
    assert asked is not None
    assert (asked.kind, asked.shown) == (kind, shown)


def test_calls_about_nothing() -> None:
    """No tag of the user's is no question; empty content and other roles do no harm."""
    assert read_call([]) is None
    assert read_call([{"role": "system", "content": SURE.text}]) is None
    assert read_call([{"role": "user", "content": None}]) is None
    turns: list[dict[str, Any]] = [{"role": "user", "content": SURE.text}, {"role": "assistant", "content": None}]
    earlier = [{"role": "user", "content": OTHER.text}, {"role": "assistant", "content": "41"}]
    asked = read_call([*earlier, *turns, {"role": "user", "content": "go on"}])
    assert asked is not None
    assert (asked.kind, asked.question) == (Kind.EXECUTE, SURE)


def test_optillms_loop_over_http(started: Start) -> None:
    """Through the real SDK; the ledger has each call's kind."""
    client = started(statistics=ABLE)
    answer, spent = cepo("", SURE.text, sdk(client.simulator), MODEL, optillm_config())
    kinds = [call.kind for call in client.simulator.chat_calls]
    assert {kind: kinds.count(kind) for kind in kinds} == LOOP | {"rating": 4}
    assert read_answer(answer, "17") == "42"
    assert spent > 0


def test_our_loop_over_http() -> None:
    """Likewise, with the calls that our own observer saw."""
    with Simulator(SimulatorOptions(statistics=ABLE)) as simulator:
        events: list[Event] = []
        small = Settings(planning_n=2, planning_m=2, bestofn_n=2)
        client = RUNTIME.client(simulator.url, KEY)
        solved = RUNTIME.solve(Question(SURE.text, "", HISTORY), small, client, events.append)
    assert read_answer(solved.outcome.answer, "17") == "42"
    called = [event.label.step.value for event in events if isinstance(event, Called)]
    assert sorted(call.kind for call in simulator.chat_calls) == sorted(called)


def test_the_api_answers_as_the_model_does(started: Start) -> None:
    """The same draws with HTTP and without; other questions get the default text, rules go first."""
    statistics = Statistics(seed=5)
    question = SimQuestion("1", 0.5, "42")
    client = started(statistics=statistics, rules=(Rule(pattern="scripted", text="by rule"),))
    from optillm_cerebras_cepo.simulator import DEFAULT_TEXT

    direct = StatisticalModel(statistics)
    for limit in (2000, 100, 2000):
        here = client.create(question.text, max_completion_tokens=limit)
        text, finish_reason, length = direct.answer([{"role": "user", "content": question.text}], MODEL, limit)
        assert (here.choices[0].message.content, here.choices[0].finish_reason) == (text, finish_reason)
        assert here.usage.completion_tokens == length
    assert client.create("hello").choices[0].message.content == DEFAULT_TEXT
    assert client.create(f"scripted {question.text}").choices[0].message.content == "by rule"
    assert [call.kind for call in client.simulator.chat_calls] == ["direct"] * 3 + ["", ""]


def test_a_bad_tag_is_a_bad_request(started: Start) -> None:
    """Status 400 and the reason."""
    response = started(statistics=Statistics()).post(
        messages=[{"role": "user", "content": "[[sim id=1 p=7 answer=1]]"}]
    )
    assert response.status_code == 400
    assert "p must be from 0 to 1" in response.text
