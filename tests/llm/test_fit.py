"""Fitting: what a model refuses does not go out, what it turns out to refuse is learnt, and both are said."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Scripted, completion, in_turn

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Message, Step
from optillm_cerebras_cepo.errors import PromptTooLong, RefusedCall
from optillm_cerebras_cepo.llm.fit import Fit, Refusals
from optillm_cerebras_cepo.llm.models import MODELS, lookup

RECORDED = (
    "1 validation error for ChatCompletionServerRequest\nreasoning_effort\n Input should be 'low', 'medium' or 'high'"
)


def request(model: str = "llama-3.3-70b", max_tokens: int = 100, **options: Any) -> ChatRequest:
    """A request with a temperature and these options."""
    messages = (Message("user", "a question"),)
    return ChatRequest(model, messages, max_tokens, Label(Step.PLAN), temperature=0.5, options=options)


def test_reasoning_effort_never_reaches_a_model_that_is_not_known_to_take_it() -> None:
    """The user's model refuses it; the reply says that it was dropped."""
    api = Scripted()
    reply = Fit(api, Refusals()).complete(request(reasoning_effort="high", top_p=1.0))
    assert api.requests[0].options == {"top_p": 1.0}
    assert reply.fitted == ("reasoning_effort dropped",)


@pytest.mark.parametrize(
    ("model", "effort", "goes"),
    [("gpt-oss-120b", "high", True), ("gpt-oss-120b", "none", False), ("other", "low", False)],
)
def test_a_level_goes_out_to_models_that_take_it(model: str, effort: str, goes: bool) -> None:
    """The table decides by level, and an unknown model is not known to take any."""
    api = Scripted()
    Fit(api, Refusals()).complete(request(model, reasoning_effort=effort))
    assert ("reasoning_effort" in api.requests[0].options) is goes


@given(
    st.sampled_from([model.id for model in MODELS]), st.sampled_from(["none", "minimal", "low", "medium", "high", "x"])
)
def test_no_model_gets_a_level_that_it_does_not_take(model: str, effort: str) -> None:
    """For every row and every level, known or not."""
    api = Scripted()
    Fit(api, Refusals()).complete(request(model, reasoning_effort=effort))
    assert api.requests[0].options.get("reasoning_effort") in (None, *lookup(model).efforts)


@pytest.mark.parametrize(
    "names", [f"validation_error {RECORDED.replace('reasoning_effort', 'top_p')}", " property 'top_p' is unsupported"]
)
def test_a_field_that_a_refusal_names_is_dropped_once_and_remembered(names: str) -> None:
    """Two calls the first time, one the next; another model is asked afresh."""
    refusal = RefusedCall("refused", names=names)
    refusals = Refusals()
    api = Scripted(in_turn(refusal, completion("ok"), completion("ok"), completion("ok")))
    first = Fit(api, refusals).complete(request(top_p=1.0, seed=1))
    again = Fit(api, refusals).complete(request(top_p=1.0, seed=1))
    Fit(api, refusals).complete(request("llama3.1-8b", top_p=1.0))
    assert [set(sent.options) for sent in api.requests] == [{"top_p", "seed"}, {"seed"}, {"seed"}, {"top_p"}]
    assert first.fitted == again.fitted == ("top_p dropped",)


def test_a_value_that_is_refused_is_not_held_against_the_next_client() -> None:
    """A schema or a token id may be at fault, and not the field: it is left out once, and goes out the next time."""
    refusals = Refusals()
    api = Scripted(in_turn(RefusedCall("refused", names="response_format"), completion("ok"), completion("ok")))
    assert Fit(api, refusals).complete(request(response_format={"a": 1})).fitted == ("response_format dropped",)
    assert Fit(api, refusals).complete(request(response_format={"b": 2})).fitted == ()
    assert api.requests[-1].options == {"response_format": {"b": 2}}


def test_tools_are_never_left_out() -> None:
    """A client that wants a tool called has no use for an answer without it; the error names the field."""
    refusals = Refusals()
    api = Scripted(in_turn(RefusedCall("refused", names="tools 0 function"), completion("ok")))
    with pytest.raises(RefusedCall) as caught:
        Fit(api, refusals).complete(request(tools=[{}]))
    assert caught.value.param == "tools"
    Fit(api, refusals).complete(request(tools=[{"type": "function"}]))
    assert [set(sent.options) for sent in api.requests] == [{"tools"}, {"tools"}]


def test_temperature_can_be_refused_too() -> None:
    """It is no option but a field of its own."""
    api = Scripted(in_turn(RefusedCall("refused", names="temperature"), completion("ok")))
    assert Fit(api, Refusals()).complete(request()).fitted == ("temperature dropped",)
    assert api.requests[1].temperature is None


@pytest.mark.parametrize("names", ["", "messages", "max_completion_tokens", "top_p_other", "stop"])
def test_a_refusal_that_names_no_optional_field_is_final(names: str) -> None:
    """What cannot be left out, or was not sent, is no reason to ask again."""
    api = Scripted(in_turn(RefusedCall("refused", names=names)))
    with pytest.raises(RefusedCall):
        Fit(api, Refusals()).complete(request(top_p=1.0))


def test_it_asks_again_only_once() -> None:
    """A second refusal is the caller's."""
    api = Scripted(in_turn(RefusedCall("refused", names="top_p"), RefusedCall("refused", names="seed")))
    with pytest.raises(RefusedCall):
        Fit(api, Refusals()).complete(request(top_p=1.0, seed=1))


def test_other_errors_pass() -> None:
    """A prompt that is too long names no field to drop."""
    with pytest.raises(PromptTooLong):
        Fit(Scripted(in_turn(PromptTooLong("too long"))), Refusals()).complete(request(top_p=1.0))


def test_a_limit_above_the_models_own_is_lowered_and_said() -> None:
    """gpt-oss takes 40,000 tokens; OptiLLM's configuration for it asks for 40,960."""
    api = Scripted()
    reply: Completion = Fit(api, Refusals()).complete(request("gpt-oss-120b", max_tokens=40_960))
    assert api.requests[0].max_tokens == 40_000
    assert reply.fitted == ("max_completion_tokens lowered to 40000",)


def test_a_request_that_suits_is_sent_as_it_is() -> None:
    """Nothing dropped, nothing said."""
    api = Scripted()
    assert Fit(api, Refusals()).complete(request(top_p=1.0)).fitted == ()
    assert api.requests == [request(top_p=1.0)]
