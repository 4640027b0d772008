"""Fitting: what a model refuses does not go out, what it turns out to refuse is learnt, and both are said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Scripted, completion, in_turn

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Message, Step
from optillm_cerebras_cepo.errors import PromptTooLong, RefusedCall
from optillm_cerebras_cepo.llm.fit import Fit, Refusals
from optillm_cerebras_cepo.llm.models import MODELS, lookup


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


UNSUPPORTED = RefusedCall("refused", api_text="property 'top_p' is unsupported")
TOO_WARM = "temperature: Input should be less than or equal to 0.4"


def refused(text: str) -> RefusedCall:
    """A refusal with this text."""
    return RefusedCall("refused", api_text=text)


def test_an_unsupported_field_is_dropped_and_remembered_for_its_model() -> None:
    """Two calls the first time, one for the next request; another model is asked afresh."""
    refusals = Refusals()
    api = Scripted(in_turn(UNSUPPORTED, completion("ok"), completion("ok"), completion("ok")))
    first = Fit(api, refusals).complete(request(top_p=1.0, seed=1))
    again = Fit(api, refusals).complete(request(top_p=1.0, seed=1))
    Fit(api, refusals).complete(request("llama3.1-8b", top_p=1.0))
    assert [set(sent.options) for sent in api.requests] == [{"top_p", "seed"}, {"seed"}, {"seed"}, {"top_p"}]
    assert first.fitted == again.fitted == ("top_p dropped",)


def test_a_refused_value_is_clamped_for_its_request_alone() -> None:
    """The next request's own value goes out as it is; within the request no second call is refused for it."""
    refusals = Refusals()
    api = Scripted(lambda sent: refused(TOO_WARM) if (sent.temperature or 0) > 0.4 else "ok")
    layer = Fit(api, refusals)
    for _ in range(2):
        assert layer.complete(request()).fitted == ("temperature lowered to 0.4",)
    assert [sent.temperature for sent in api.requests] == [0.5, 0.4, 0.4]
    assert Fit(api, refusals).complete(replace(request(), temperature=0.3)).fitted == ()
    assert api.requests[-1].temperature == 0.3


def test_a_value_that_cannot_be_clamped_is_dropped_for_its_request_alone() -> None:
    """Clamped seeds would be one seed for all calls; of a schema nobody knows a nearest one."""
    refusals = Refusals()
    api = Scripted(lambda sent: refused("seed must be at most 10") if sent.options.get("seed", 0) > 10 else "ok")
    assert Fit(api, refusals).complete(request(seed=11)).fitted == ("seed dropped",)
    assert Fit(api, refusals).complete(request(seed=10)).fitted == ()
    api = Scripted(in_turn(refused("response_format: not supported here"), completion("ok"), completion("ok")))
    assert Fit(api, refusals).complete(request(response_format={"a": 1})).fitted == ("response_format dropped",)
    assert Fit(api, refusals).complete(request(response_format={"b": 2})).fitted == ()
    assert api.requests[-1].options == {"response_format": {"b": 2}}


def test_a_schema_with_a_property_called_as_a_field_costs_that_field_nothing() -> None:
    """The schema is refused, not the temperature."""
    schema = {"json_schema": {"schema": {"properties": {"temperature": {"type": ["number"]}}}}}
    text = "response_format.json_schema.schema.properties.temperature: a list is not allowed under type"
    api = Scripted(in_turn(refused(text), completion("ok")))
    assert Fit(api, Refusals()).complete(request(response_format=schema)).fitted == ("response_format dropped",)
    assert api.requests[-1].temperature == 0.5


def test_a_limit_that_the_api_refuses_is_lowered_to_what_it_says() -> None:
    """Of a model without a row in the table nobody knows its longest reply."""
    api = Scripted(lambda sent: refused("max_completion_tokens must be at most 64") if sent.max_tokens > 64 else "ok")
    assert Fit(api, Refusals()).complete(request("other")).fitted == ("max_completion_tokens lowered to 64",)


def test_there_are_as_many_rounds_as_fields() -> None:
    """An API that names one field at a time."""
    api = Scripted(in_turn(UNSUPPORTED, refused("unknown field 'seed'"), refused(TOO_WARM), completion("ok")))
    reply = Fit(api, Refusals()).complete(request(top_p=1.0, seed=1, user="u"))
    assert reply.fitted == ("seed dropped", "top_p dropped", "temperature lowered to 0.4")
    assert (api.requests[-1].options, api.requests[-1].temperature) == ({"user": "u"}, 0.4)


@given(
    st.lists(
        st.builds(
            "{}{}{}".format,
            st.sampled_from(["temperature", "top_p", "seed", "max_completion_tokens", "tools", "messages", "user"]),
            st.sampled_from([": ", " must be at most ", " is unsupported, at least ", " not supported "]),
            st.integers(-2, 4),
        ),
        min_size=20,
        max_size=20,
    )
)
def test_the_rounds_end_whatever_the_api_refuses(texts: list[str]) -> None:
    """Each field is clamped once and dropped once at most."""
    api = Scripted(in_turn(*map(refused, texts)))
    with pytest.raises(RefusedCall):
        Fit(api, Refusals()).complete(request(top_p=1.0, seed=1, user="u", tools=[{}]))
    assert len(api.requests) <= 2 * 5 + 1


def test_tools_are_never_left_out() -> None:
    """A client that wants a tool called has no use for an answer without it; the error names the field."""
    refusals = Refusals()
    api = Scripted(in_turn(RefusedCall("refused", api_param="tools.0.function"), completion("ok")))
    with pytest.raises(RefusedCall) as caught:
        Fit(api, refusals).complete(request(tools=[{}]))
    assert caught.value.param == "tools"
    Fit(api, refusals).complete(request(tools=[{"type": "function"}]))
    assert [set(sent.options) for sent in api.requests] == [{"tools"}, {"tools"}]


@pytest.mark.parametrize("text", ["", "messages", "max_completion_tokens", "top_p_other", "stop"])
def test_a_refusal_that_names_nothing_that_can_be_changed_is_final(text: str) -> None:
    """What cannot be left out, or was not sent, is no reason to ask again."""
    api = Scripted(in_turn(refused(text)))
    with pytest.raises(RefusedCall):
        Fit(api, Refusals()).complete(request(top_p=1.0))


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
