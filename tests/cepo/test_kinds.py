"""Kinds of call: reply lengths are learnt for each apart, so no kind's replies are cut at another's limit."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.desk import Desk, changed, run
from support.scripted import Scripted

from optillm_cerebras_cepo.cepo.request import kind_of
from optillm_cerebras_cepo.cepo.solve import solve
from optillm_cerebras_cepo.core.chat import (
    ChatRequest,
    Completion,
    Label,
    Message,
    Parameters,
    PassthroughRequest,
    Question,
    RawMessage,
    Step,
    Usage,
)
from optillm_cerebras_cepo.llm.metering import KNOWN, AdaptiveMaxTokens, ReplyLengths

SCHEMA = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
TOOLS = PassthroughRequest(
    "tools", (RawMessage({"role": "user", "content": "?"}),), {"tools": [{"function": {"name": "f"}}]}
)
NO_PLAN = Question("no plan can be made")
SETTINGS: dict[str, Any] = {"bestofn_n": 2, "planning_n": 1, "planning_m": 1}

# What a client may ask: settings, parameters, and the question.
Wish = tuple[dict[str, Any], dict[str, Any], Question]
PLAIN: Wish = ({}, {}, Question("?"))
WISHES: dict[str, Wish] = {
    "absolute ratings": PLAIN,
    "pairwise ratings": ({"bestofn_rating_type": "pairwise"}, {}, Question("?")),
    "no plan to execute": ({"planning_max_tokens_step1": 0}, {}, Question("?")),
    "no final step": ({"planning_max_tokens_step4": 0}, {}, Question("?")),
    "another limit of a step": ({"planning_max_tokens_step2": 700}, {}, Question("?")),
    "three approaches": ({"use_plan_diversity": True, "bestofn_n": 3}, {}, Question("?")),
    "two approaches": ({"use_plan_diversity": True}, {}, Question("?")),
    "a last resort": ({}, {}, NO_PLAN),
    "a direct answer": ({"effort": "none"}, {}, Question("?")),
    "a direct answer until a stop": ({"effort": "none"}, {"stop": ("\n",)}, Question("?")),
    "a direct answer until another stop": ({"effort": "none"}, {"stop": ("END",)}, Question("?")),
    "a direct answer of a form": ({"effort": "none"}, {"response_format": SCHEMA}, Question("?")),
    "a direct answer of a limit": ({"effort": "none"}, {"max_tokens": 900}, Question("?")),
    "a direct answer with penalties": ({"effort": "none"}, {"frequency_penalty": 2.0}, Question("?")),
    "tools": ({}, {}, Question("?", passthrough=TOOLS)),
    "a planned answer until a stop": ({}, {"stop": ("\n",)}, Question("?")),
    "a planned answer of a form": ({}, {"response_format": {"type": "json_object"}}, Question("?")),
    "a planned answer of a limit": ({}, {"max_tokens": 900}, Question("?")),
}


def length(request: ChatRequest) -> int:
    """Tokens of the reply to a request: another number for each prompt and each wish, from 100 to 899."""
    prompt = [message.content for message in request.messages if isinstance(message, Message)]
    templates = [words in str(prompt) for words in ("Response 1:", "propose 2", "Can you solve")]
    templates += [request.label.step is Step.DIRECT and NO_PLAN.text in str(prompt)]
    neutral = ("top_p", "prompt_cache_key")
    wishes = {name: value for name, value in request.options.items() if name not in neutral}
    return 100 + crc32(repr((request.label.step, len(prompt), templates, wishes)).encode()) % 800


def answer(request: ChatRequest) -> Completion:
    """A reply of its length, cut at the request's limit; no plan where none can be made."""
    tokens = min(length(request), request.max_tokens)
    text = "Rating: [[1]]. Better Response: [[1]]"
    if request.label.step is Step.APPROACHES:
        text = '{"approach_1": "a", "approach_2": "b", "approach_3": "c"}'
    elif request.label.step is Step.PLAN and NO_PLAN.text in str(request.messages[-1]):
        text = ""
    return Completion("m", text, "stop" if tokens == length(request) else "length", Usage(10, tokens))


def ask(wish: Wish, lengths: ReplyLengths) -> tuple[Desk, Scripted]:
    """Answer one question over limits that fit; return the calls that were wanted, and those that were made."""
    own, parameters, question = wish
    api = Scripted(answer)
    it = Desk(question=question, **{**SETTINGS, **own})
    it.client._answer = AdaptiveMaxTokens(api, lengths).complete
    it.caller = changed(it.caller, usual_reply_tokens=lambda label: lengths.mean(it.caller.model.id, label))
    run(it, **parameters)
    return it, api


@settings(max_examples=30)
@given(st.lists(st.sampled_from(sorted(WISHES)), min_size=1, max_size=12))
def test_no_mixture_of_requests_makes_a_call_twice(names: list[str]) -> None:
    """Where replies to the same wish are all as long, none is cut at what replies to another wish have taken."""
    lengths = ReplyLengths()
    for name in [name for name in names for _ in range(3)]:
        wanted, api = ask(WISHES[name], lengths)
        assert len(api.requests) == len(wanted.client.requests)


@pytest.mark.parametrize("name", WISHES)
def test_what_is_planned_is_what_calls_of_the_same_kind_have_taken(name: str) -> None:
    """The lengths that a budget is reckoned with are looked up by the key under which they are learnt."""
    asked, own, (parameters, question) = set[tuple[Step, str]](), WISHES[name][0], WISHES[name][1:]
    it = Desk(answer, question=question, **{**SETTINGS, **own})
    it.caller = changed(it.caller, usual_reply_tokens=lambda label: asked.add((label.step, label.kind)))
    run(it, **parameters)
    made = {(request.label.step, request.label.kind) for request in it.client.requests}
    if it.caller.request.settings.effort != "none" and question.passthrough is None:  # else nothing is planned
        assert made <= asked


def test_a_judge_of_its_own_is_planned_with_its_own_lengths() -> None:
    """Not with those of the model that answers."""
    it = Desk("Rating: [[1]]", max_total_tokens=12_000, **SETTINGS)
    seen: list[Step] = []
    rater = changed(it.caller, usual_reply_tokens=lambda label: seen.append(label.step) or 20)
    it.caller = changed(it.caller, usual_reply_tokens=lambda label: 4096 if label.step is Step.RATING else 20)
    assert len(solve(it.caller, rater).candidates) == 2
    assert set(seen) == {Step.RATING}


def test_a_reply_is_expected_to_be_no_longer_than_the_client_lets_it() -> None:
    """Nor shorter than it may be, where nobody has seen one: the client's limit may be beyond the step's."""
    for limit in (50, 9000):
        caller = changed(Desk().caller, parameters=Parameters(max_tokens=limit))
        assert [caller.expected_reply_tokens(Label(step)) for step in (Step.FINAL, Step.DIRECT, Step.PLAN)] == [
            limit,
            limit,
            4096,
        ]
        assert changed(caller, usual_reply_tokens=lambda _: 300).expected_reply_tokens(Label(Step.FINAL)) == min(
            limit, 300
        )


@pytest.mark.parametrize("neutral", [{"seed": 7}, {"user": "u"}, {"top_p": 0.3}])
def test_what_does_not_change_a_replys_length_makes_no_kind(neutral: dict[str, Any]) -> None:
    """Each request has a seed of its own; no kind would ever be known."""
    assert kind_of("", 10, {"stop": ["x"], **neutral}) == kind_of("", 10, {"stop": ["x"]})


@given(st.text(min_size=8), st.integers(1))
def test_a_kind_has_a_short_name_without_a_text_of_the_clients(text: str, limit: int) -> None:
    """It is kept as long as the process lives, and travels with events."""
    name = kind_of("", limit, {"stop": [text], "response_format": {"a": text * 50}})
    assert len(name) < 60 + len(str(limit))
    assert text not in name.split()


def test_lengths_are_known_after_a_few_requests_with_the_same_wish() -> None:
    """From then on each call asks for what its kind takes, and a margin."""
    lengths = ReplyLengths()
    for _ in range(KNOWN):
        ask(WISHES["a direct answer of a form"], lengths)
    wanted, api = ask(WISHES["a direct answer of a form"], lengths)
    assert [request.max_tokens for request in api.requests] < [request.max_tokens for request in wanted.client.requests]
