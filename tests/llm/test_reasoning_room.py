"""A reply whose reasoning used up the token limit is asked for once more with a higher one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.scripted import Scripted

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.llm.metering import REASONING_FACTOR, ReasoningRoom
from optillm_cerebras_cepo.llm.models import lookup

MODEL = "gpt-oss-120b"
MOST = lookup(MODEL).max_output or 0
CALL = ChatRequest(MODEL, (Message("user", "q"),), 1000, Label(Step.PLAN), may_take_more=True)
CUT = Completion(MODEL, "", "length", Usage(10, 1000, 1000), reasoning="We think")


def limits(request: ChatRequest, reply: Completion = CUT) -> list[int]:
    """Return the token limits of the calls that are made for this one, if all have this reply."""
    api = Scripted(lambda _: reply)
    ReasoningRoom(api).complete(request)
    return [made.max_tokens for made in api.requests]


def test_the_limit_is_raised_once_and_at_most_to_the_models() -> None:
    """Where it is the model's already, another call would end in the same way."""
    assert limits(CALL) == [1000, 1000 * REASONING_FACTOR]
    assert limits(replace(CALL, max_tokens=MOST - 1)) == [MOST - 1, MOST]
    assert limits(replace(CALL, max_tokens=MOST)) == [MOST]


@pytest.mark.parametrize(
    "request_",
    [replace(CALL, may_take_more=False), replace(CALL, listener=lambda _: None)],
    ids=["the client's limit", "streamed"],
)
def test_these_calls_are_made_once(request_: ChatRequest) -> None:
    """What may be spent is the client's decision, and a stream cannot begin again."""
    assert limits(request_) == [1000]


@pytest.mark.parametrize(
    "reply",
    [
        replace(CUT, finish_reason="stop"),
        replace(CUT, text="half of an answer"),
        replace(CUT, tool_calls=({"id": "1"},)),
        replace(CUT, reasoning="", usage=Usage(10, 0)),
    ],
    ids=["not cut", "with an answer", "with a tool call", "without reasoning"],
)
def test_these_replies_stand(reply: Completion) -> None:
    """Their limit was not used up by reasoning alone."""
    assert limits(CALL, reply) == [1000]


def test_an_open_thought_in_the_text_is_reasoning() -> None:
    """As older models write it."""
    assert len(limits(CALL, replace(CUT, text="<think>We think", reasoning="", usage=Usage(10, 1000)))) == 2
