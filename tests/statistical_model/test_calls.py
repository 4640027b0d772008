from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from optillm.cepo.cepo import cepo
from simulator.conftest import KEY, Client, sdk
from support.solving import solve

from optillm_cerebras_cepo.core.chat import Message, Question
from optillm_cerebras_cepo.core.events import CallFinished, Event
from optillm_cerebras_cepo.runtime import RUNTIME
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.simulator import DEFAULT_TEXT, Rule, Simulator, SimulatorOptions
from statistical_model.calls import CallKind, recognize_call
from statistical_model.clients import MODEL, DirectClient, OpenAiClient, optillm_config
from statistical_model.model import Skills, StatisticalModel, responder
from statistical_model.questions import SimQuestion
from statistical_model.texts import Lengths, read_answer

SURE = SimQuestion("17", 1.0, "42")
OTHER = SimQuestion("16", 1.0, "41")
PERFECT_RATER = Skills(rater_right=1, rater_wrong=1)
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
def test_optillms_calls_are_recognized(system: str, query: str, changes: dict[str, Any], kinds: Any) -> None:
    """Every call has the right kind, and the answer is right."""
    client = OpenAiClient(PERFECT_RATER)
    answer, _ = cepo(system, query, client, MODEL, optillm_config(**changes))
    assert client.kinds == kinds
    assert read_answer(answer, "17") == "42"


def test_optillms_fallback_is_a_direct_question() -> None:
    """If every execution is cut, OptiLLM asks the question itself, reviews and repeats the answer."""
    client = OpenAiClient(Skills(lengths=Lengths(execute=5000, sigma=0), rater_right=1))
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
def test_our_calls_are_recognized(question: Any, settings: Any, kinds: Any) -> None:
    """The recognized kind is the calling step, with and without earlier turns."""
    client: Any = DirectClient(PERFECT_RATER)
    small = Settings(**{"planning_n": 2, "planning_m": 2, "bestofn_n": 2, "rate_always": True} | settings)
    solved = solve(RUNTIME, question, small, client, lambda _: None)
    assert read_answer(solved.outcome.answer, "17") == "42"
    assert {kind for _, kind in client.steps} == kinds
    assert {(step, kind) for step, kind in client.steps if step != kind} <= {("rating", "comparison")}
    assert solved.degraded == ()


def test_number_of_approaches_is_read() -> None:
    """It is the number in the prompt, not one in the question."""
    messages = [{"role": "user", "content": f'propose 5 different "approach_1" for {SURE.text}'}]
    call = recognize_call(messages)
    assert call is not None
    assert (call.kind, call.approaches) == (CallKind.APPROACHES, 5)


LINE = r"(question 17) The final answer is \boxed{%s}."


@pytest.mark.parametrize(
    ("text", "kind", "quoted"),
    [
        (f"Response 1:\n{LINE % 4}\n\nResponse 2:\nnone\n\n{SURE.text}", CallKind.REVIEW, ("4", None)),
        (
            f"{SURE.text} Response 0: {LINE % 4} Response 1: {LINE % 5} Better Response: [[0]]",
            CallKind.COMPARISON,
            ("4", "5"),
        ),
        (f"{SURE.text} Response 0: Response 1: {LINE % 5} Better Response: [[0]]", CallKind.COMPARISON, (None, "5")),
        (f"{SURE.text} {LINE % 4} Rating: [[0]]", CallKind.RATING, ("4",)),
        (f"{SURE.text} Rating: [[0]]", CallKind.RATING, (None,)),
        (f"my final solution: {LINE % 5} no, {LINE % 4} {SURE.text}", CallKind.FINAL, ("4",)),
        (f"my final solution: {SURE.text}", CallKind.FINAL, (None,)),
        (f"what about {LINE % 4}? {SURE.text}", CallKind.FINAL, ("4",)),
        (SURE.text, CallKind.DIRECT, ()),
    ],
)
def test_answers_are_read_from_quoted_replies(text: str, kind: Any, quoted: Any) -> None:
    """In their order, None for a reply without an answer."""
    call = recognize_call([{"role": "system", "content": "Rating: [[0]]"}, {"role": "user", "content": text}])
    assert call is not None
    assert (call.kind, call.quoted) == (kind, quoted)


def test_calls_without_a_question() -> None:
    """Only tags in user messages count; empty content and other roles are ignored."""
    assert recognize_call([]) is None
    assert recognize_call([{"role": "system", "content": SURE.text}]) is None
    assert recognize_call([{"role": "user", "content": None}]) is None
    turns: list[dict[str, Any]] = [{"role": "user", "content": SURE.text}, {"role": "assistant", "content": None}]
    earlier = [{"role": "user", "content": OTHER.text}, {"role": "assistant", "content": "41"}]
    call = recognize_call([*earlier, *turns, {"role": "user", "content": "go on"}])
    assert call is not None
    assert (call.kind, call.question) == (CallKind.EXECUTE, SURE)


def test_optillms_loop_over_http() -> None:
    """Through the real SDK; each call in the log is labeled with its kind."""
    with Simulator(SimulatorOptions(responder=responder(PERFECT_RATER))) as simulator, sdk(simulator) as client:
        answer, spent = cepo("", SURE.text, client, MODEL, optillm_config())
    labels = [call.label for call in simulator.chat_calls]
    assert {label: labels.count(label) for label in labels} == LOOP | {"rating": 4}
    assert read_answer(answer, "17") == "42"
    assert spent > 0


def test_our_loop_over_http() -> None:
    """The labels are the steps of the calls that our observer receives."""
    with Simulator(SimulatorOptions(responder=responder(PERFECT_RATER))) as simulator:
        events: list[Event] = []
        small = Settings(planning_n=2, planning_m=2, bestofn_n=2)
        client = RUNTIME.client(simulator.url, KEY)
        solved = solve(RUNTIME, Question(SURE.text, "", HISTORY), small, client, events.append)
    assert read_answer(solved.outcome.answer, "17") == "42"
    called = [event.label.step.value for event in events if isinstance(event, CallFinished)]
    assert sorted(call.label for call in simulator.chat_calls) == sorted(called)


def test_the_api_answers_like_the_model() -> None:
    """Replies over HTTP are the same draws; rules apply first, and calls without a question get the default text."""
    question = SimQuestion("1", 0.5, "42")
    model = StatisticalModel(Skills(seed=5))
    rules = (Rule(pattern="scripted", text="by rule"),)
    options = SimulatorOptions(responder=responder(Skills(seed=5)), rules=rules)
    with ExitStack() as stack:
        client = Client(stack.enter_context(Simulator(options)), stack)
        for limit in (2000, 100, 2000):
            reply = client.create(question.text, max_completion_tokens=limit)
            text, finish_reason, length = model.answer([{"role": "user", "content": question.text}], MODEL, limit)
            assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == (text, finish_reason)
            assert reply.usage.completion_tokens == length
        assert client.create("hello").choices[0].message.content == DEFAULT_TEXT
        assert client.create(f"scripted {question.text}").choices[0].message.content == "by rule"
        assert [call.label for call in client.simulator.chat_calls] == ["direct"] * 3 + ["", ""]


def test_an_invalid_tag_is_a_bad_request() -> None:
    """Status 400 with the reason."""
    with ExitStack() as stack:
        client = Client(stack.enter_context(Simulator(SimulatorOptions(responder=responder()))), stack)
        response = client.post(messages=[{"role": "user", "content": "[[sim id=1 p=7 answer=1]]"}])
    assert response.status_code == 400
    assert "p must be from 0 to 1" in response.text
