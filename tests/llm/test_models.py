"""The table of models: spellings, what each refuses, and the choice among what is served."""

from __future__ import annotations

import pytest

from optillm_cerebras_cepo.errors import ModelUnavailable
from optillm_cerebras_cepo.llm.models import MODELS, lookup, resolve

USERS_MODELS = ["llama3.3-70b", "llama3.1-8b", "qwen-3-235b-a22b-instruct-2507", "gpt-oss-120b", "qwen-3.8-27b"]


@pytest.mark.parametrize("name", USERS_MODELS)
def test_the_models_that_users_name_are_rows(name: str) -> None:
    """Each has a row, with a source for what it says."""
    assert lookup(name) in MODELS
    assert "cerebras.ai" in lookup(name).source


@pytest.mark.parametrize("name", ["llama3.3-70b", "llama3.1-8b", "qwen-3-235b-a22b-instruct-2507"])
def test_models_without_reasoning_take_no_effort(name: str) -> None:
    """The user's models refuse reasoning_effort in every value."""
    assert lookup(name).efforts == ()


def test_reasoning_models_take_their_own_levels() -> None:
    """gpt-oss refuses `none`, which qwen 3.8 takes."""
    assert lookup("gpt-oss-120b").efforts == ("low", "medium", "high")
    assert "none" in lookup("qwen-3.8-27b").efforts


def test_an_unknown_model_is_used_as_it_is() -> None:
    """A dedicated endpoint serves what its owner chose."""
    assert lookup("our-own-model").id == "our-own-model"
    assert lookup("our-own-model") not in MODELS


@pytest.mark.parametrize("served", ["llama-3.3-70b", "llama3.3-70b", "Llama-3.3-70B"])
@pytest.mark.parametrize("wanted", ["llama3.3-70b", "llama-3.3-70b"])
def test_every_spelling_finds_the_id_that_the_api_lists(wanted: str, served: str) -> None:
    """The misspelling is widespread: both must work, whichever the API uses."""
    assert resolve([wanted], ["gpt-oss-120b", served]) == served


def test_the_first_wanted_model_that_is_served_is_taken() -> None:
    """A list is an order of preference, whatever the API's order is."""
    served = ["qwen-3.8-27b", "gpt-oss-120b"]
    assert resolve(["llama3.3-70b", "gpt-oss-120b", "qwen-3.8-27b"], served) == "gpt-oss-120b"


def test_similar_names_are_not_the_same_model() -> None:
    """3.1 is not 3.3, and 8b not 70b."""
    with pytest.raises(ModelUnavailable):
        resolve(["llama3.3-70b"], ["llama3.1-8b", "llama-3.3-8b", "llama-3.1-70b"])


def test_when_none_is_served_the_message_names_those_that_are() -> None:
    """And the variable to set."""
    with pytest.raises(ModelUnavailable) as caught:
        resolve(["llama3.3-70b"], ["gpt-oss-120b", "qwen-3.8-27b"])
    assert "gpt-oss-120b, qwen-3.8-27b" in caught.value.message
    assert "CEPO_CEREBRAS_MODEL" in caught.value.message
    assert caught.value.status == 404
