"""Unsupported parameters: not sent, learned from refusals, and reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.scripted import Scripted, completion, in_turn

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label, Message, Step
from optillm_cerebras_cepo.core.errors import PromptTooLong, RefusedCall
from optillm_cerebras_cepo.llm.models import MODELS, lookup
from optillm_cerebras_cepo.llm.unsupported_params import UnsupportedParams, UnsupportedParamsFilter


def request(model: str = "llama-3.3-70b", max_tokens: int = 100, **options: Any) -> ChatRequest:
    """A request with a temperature and these options."""
    messages = (Message("user", "a question"),)
    return ChatRequest(model, messages, max_tokens, Label(Step.PLAN), temperature=0.5, options=options)


def test_reasoning_effort_never_reaches_a_model_that_is_not_known_to_take_it() -> None:
    """It is dropped, and the reply says so."""
    api = Scripted()
    reply = UnsupportedParamsFilter(api, UnsupportedParams()).complete(request(reasoning_effort="high", top_p=1.0))
    assert api.requests[0].options == {"top_p": 1.0}
    assert reply.fitted == ("reasoning_effort dropped",)


@pytest.mark.parametrize(
    ("model", "effort", "goes"),
    [("gpt-oss-120b", "high", True), ("gpt-oss-120b", "none", False), ("other", "low", False)],
)
def test_supported_effort_is_sent(model: str, effort: str, goes: bool) -> None:
    """As in the table; an unknown model is not known to accept any."""
    api = Scripted()
    UnsupportedParamsFilter(api, UnsupportedParams()).complete(request(model, reasoning_effort=effort))
    assert ("reasoning_effort" in api.requests[0].options) is goes


@given(
    st.sampled_from([model.id for model in MODELS]), st.sampled_from(["none", "minimal", "low", "medium", "high", "x"])
)
def test_unsupported_effort_is_never_sent(model: str, effort: str) -> None:
    """For every row and every effort, known or not."""
    api = Scripted()
    UnsupportedParamsFilter(api, UnsupportedParams()).complete(request(model, reasoning_effort=effort))
    assert api.requests[0].options.get("reasoning_effort") in (None, *lookup(model).efforts)


UNSUPPORTED = RefusedCall("refused", api_text="property 'top_p' is unsupported")
TOO_WARM = "temperature: Input should be less than or equal to 0.4"


def refused(text: str) -> RefusedCall:
    """A refusal with this text."""
    return RefusedCall("refused", api_text=text)


def test_unsupported_field_is_dropped_and_remembered_for_its_model() -> None:
    """Two calls the first time, one for the next request; another model starts anew."""
    refusals = UnsupportedParams()
    api = Scripted(in_turn(UNSUPPORTED, completion("ok"), completion("ok"), completion("ok")))
    first = UnsupportedParamsFilter(api, refusals).complete(request(top_p=1.0, seed=1))
    again = UnsupportedParamsFilter(api, refusals).complete(request(top_p=1.0, seed=1))
    UnsupportedParamsFilter(api, refusals).complete(request("llama3.1-8b", top_p=1.0))
    assert [set(sent.options) for sent in api.requests] == [{"top_p", "seed"}, {"seed"}, {"seed"}, {"top_p"}]
    assert first.fitted == again.fitted == ("top_p dropped",)


def test_refused_value_is_clamped_for_its_request_only() -> None:
    """The next request's value is sent unchanged; within the request no second call is refused for it."""
    refusals = UnsupportedParams()
    api = Scripted(lambda sent: refused(TOO_WARM) if (sent.temperature or 0) > 0.4 else "ok")
    layer = UnsupportedParamsFilter(api, refusals)
    for _ in range(2):
        assert layer.complete(request()).fitted == ("temperature lowered to 0.4",)
    assert [sent.temperature for sent in api.requests] == [0.5, 0.4, 0.4]
    assert UnsupportedParamsFilter(api, refusals).complete(replace(request(), temperature=0.3)).fitted == ()
    assert api.requests[-1].temperature == 0.3


def test_value_that_cannot_be_clamped_is_dropped_for_its_request_only() -> None:
    """Clamped seeds would all be equal; a schema has no nearest value."""
    refusals = UnsupportedParams()
    api = Scripted(lambda sent: refused("seed must be at most 10") if sent.options.get("seed", 0) > 10 else "ok")
    assert UnsupportedParamsFilter(api, refusals).complete(request(seed=11)).fitted == ("seed dropped",)
    assert UnsupportedParamsFilter(api, refusals).complete(request(seed=10)).fitted == ()
    api = Scripted(in_turn(refused("response_format: not supported here"), completion("ok"), completion("ok")))
    assert UnsupportedParamsFilter(api, refusals).complete(request(response_format={"a": 1})).fitted == (
        "response_format dropped",
    )
    assert UnsupportedParamsFilter(api, refusals).complete(request(response_format={"b": 2})).fitted == ()
    assert api.requests[-1].options == {"response_format": {"b": 2}}


def test_property_named_like_a_field_does_not_drop_the_field() -> None:
    """The schema is refused, not the temperature."""
    schema = {"json_schema": {"schema": {"properties": {"temperature": {"type": ["number"]}}}}}
    text = "response_format.json_schema.schema.properties.temperature: a list is not allowed under type"
    api = Scripted(in_turn(refused(text), completion("ok")))
    assert UnsupportedParamsFilter(api, UnsupportedParams()).complete(request(response_format=schema)).fitted == (
        "response_format dropped",
    )
    assert api.requests[-1].temperature == 0.5


def test_refused_limit_is_lowered_to_the_stated_one() -> None:
    """The maximum of a model without a row in the table is unknown."""
    api = Scripted(lambda sent: refused("max_completion_tokens must be at most 64") if sent.max_tokens > 64 else "ok")
    assert UnsupportedParamsFilter(api, UnsupportedParams()).complete(request("other")).fitted == (
        "max_completion_tokens lowered to 64",
    )


def test_each_round_changes_a_field() -> None:
    """An API may name one field at a time."""
    api = Scripted(in_turn(UNSUPPORTED, refused("unknown field 'seed'"), refused(TOO_WARM), completion("ok")))
    reply = UnsupportedParamsFilter(api, UnsupportedParams()).complete(request(top_p=1.0, seed=1, user="u"))
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
def test_rounds_end_whatever_the_api_refuses(texts: list[str]) -> None:
    """Each field is clamped at most once and dropped at most once."""
    api = Scripted(in_turn(*map(refused, texts)))
    with pytest.raises(RefusedCall):
        UnsupportedParamsFilter(api, UnsupportedParams()).complete(request(top_p=1.0, seed=1, user="u", tools=[{}]))
    assert len(api.requests) <= 2 * 5 + 1


def test_tools_are_never_dropped() -> None:
    """A client that wants a tool called cannot use an answer without it; the error names the field."""
    refusals = UnsupportedParams()
    api = Scripted(in_turn(RefusedCall("refused", api_param="tools.0.function"), completion("ok")))
    with pytest.raises(RefusedCall) as caught:
        UnsupportedParamsFilter(api, refusals).complete(request(tools=[{}]))
    assert caught.value.param == "tools"
    UnsupportedParamsFilter(api, refusals).complete(request(tools=[{"type": "function"}]))
    assert [set(sent.options) for sent in api.requests] == [{"tools"}, {"tools"}]


@pytest.mark.parametrize("text", ["", "messages", "max_completion_tokens", "top_p_other", "stop"])
def test_refusal_of_required_or_unsent_fields_is_final(text: str) -> None:
    """Another call would be refused as well."""
    api = Scripted(in_turn(refused(text)))
    with pytest.raises(RefusedCall):
        UnsupportedParamsFilter(api, UnsupportedParams()).complete(request(top_p=1.0))


def test_other_errors_are_passed_on() -> None:
    """A prompt that is too long names no field."""
    with pytest.raises(PromptTooLong):
        UnsupportedParamsFilter(Scripted(in_turn(PromptTooLong("too long"))), UnsupportedParams()).complete(
            request(top_p=1.0)
        )


def test_limit_above_the_models_maximum_is_lowered() -> None:
    """gpt-oss accepts 40,000 tokens; OptiLLM's configuration asks for 40,960."""
    api = Scripted()
    reply: Completion = UnsupportedParamsFilter(api, UnsupportedParams()).complete(
        request("gpt-oss-120b", max_tokens=40_960)
    )
    assert api.requests[0].max_tokens == 40_000
    assert reply.fitted == ("max_completion_tokens lowered to 40000",)


def test_supported_request_is_unchanged() -> None:
    """Nothing is dropped or reported."""
    api = Scripted()
    assert UnsupportedParamsFilter(api, UnsupportedParams()).complete(request(top_p=1.0)).fitted == ()
    assert api.requests == [request(top_p=1.0)]
