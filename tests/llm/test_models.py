"""Table of models: spellings, what each refuses, and the choice among the served models."""

from __future__ import annotations

import pytest

from optillm_cerebras_cepo.core.errors import ModelUnavailable
from optillm_cerebras_cepo.llm.models import MODELS, lookup, of_another_family, resolve

USERS_MODELS = ["llama3.3-70b", "llama3.1-8b", "qwen-3-235b-a22b-instruct-2507", "gpt-oss-120b", "qwen-3.8-27b"]


@pytest.mark.parametrize("name", USERS_MODELS)
def test_models_that_users_name_have_rows(name: str) -> None:
    """Each row has a source."""
    assert lookup(name) in MODELS
    assert "cerebras.ai" in lookup(name).source


@pytest.mark.parametrize("name", ["llama3.3-70b", "llama3.1-8b", "qwen-3-235b-a22b-instruct-2507"])
def test_models_without_reasoning_accept_no_effort(name: str) -> None:
    """They refuse every value of reasoning_effort."""
    assert lookup(name).efforts == ()


def test_reasoning_models_accept_their_own_efforts() -> None:
    """gpt-oss refuses `none`, which qwen 3.8 accepts."""
    assert lookup("gpt-oss-120b").efforts == ("low", "medium", "high")
    assert "none" in lookup("qwen-3.8-27b").efforts


def test_unknown_model_is_used_unchanged() -> None:
    """A dedicated endpoint serves what its owner chose."""
    assert lookup("our-own-model").id == "our-own-model"
    assert lookup("our-own-model") not in MODELS


@pytest.mark.parametrize("served", ["llama-3.3-70b", "llama3.3-70b", "Llama-3.3-70B"])
@pytest.mark.parametrize("wanted", ["llama3.3-70b", "llama-3.3-70b"])
def test_every_spelling_resolves_to_the_listed_id(wanted: str, served: str) -> None:
    """Both spellings are common and must work, whichever the API lists."""
    assert resolve([wanted], ["gpt-oss-120b", served]) == served


def test_first_wanted_model_that_is_served_is_chosen() -> None:
    """The operator's list is an order of preference; the API's order does not matter."""
    served = ["qwen-3.8-27b", "gpt-oss-120b"]
    assert resolve(["llama3.3-70b", "gpt-oss-120b", "qwen-3.8-27b"], served) == "gpt-oss-120b"


@pytest.mark.parametrize(
    ("name", "found"),
    [("llama3.3-70b", "qwen-3-32b"), ("qwen-3.8-27b", "llama3.1-8b"), ("Llama-4-maverick", "qwen-3-32b")],
)
def test_another_family_has_another_first_word(name: str, found: str) -> None:
    """However the version is written. The first in the list is taken."""
    assert of_another_family(name, ["llama3.1-8b", "qwen-3-32b", "gpt-oss-120b"]) == found
    assert of_another_family(name, [name, f"vendor/{name}"]) is None


@pytest.mark.parametrize(
    ("wanted", "served", "nearest"),
    [
        ("llama3.3-70b", ["qwen-3.8-27b", "gpt-oss-120b"], "gpt-oss-120b"),
        ("llama3.3-70b", ["gpt-oss-120b", "qwen-3-235b-a22b-instruct-2507"], "qwen-3-235b-a22b-instruct-2507"),
        ("llama3.3-70b", ["gpt-oss-120b", "llama3.1-8b"], "llama3.1-8b"),
        ("qwen-3-32b", ["gpt-oss-120b", "qwen-3.8-27b"], "qwen-3.8-27b"),
        ("qwen-3-235b-a22b-instruct-2507", ["llama-3.3-70b", "qwen-3.8-27b"], "qwen-3.8-27b"),
        ("our-own", ["gpt-oss-120b", "another"], "another"),
    ],
)
def test_the_error_says_what_to_set(wanted: str, served: list[str], nearest: str) -> None:
    """The nearest in kind: of the family, else without reasoning as well, else of about the size."""
    with pytest.raises(ModelUnavailable, match=f"Set CEPO_CEREBRAS_MODEL={nearest}, "):
        resolve([wanted], served)


def test_similar_names_are_different_models() -> None:
    """3.1 is not 3.3, and 8b is not 70b."""
    with pytest.raises(ModelUnavailable):
        resolve(["llama3.3-70b"], ["llama3.1-8b", "llama-3.3-8b", "llama-3.1-70b"])


def test_error_names_the_served_models() -> None:
    """And the variable to set."""
    with pytest.raises(ModelUnavailable) as caught:
        resolve(["llama3.3-70b"], ["gpt-oss-120b", "qwen-3.8-27b"])
    assert "gpt-oss-120b, qwen-3.8-27b" in caught.value.message
    assert "CEPO_CEREBRAS_MODEL" in caught.value.message
    assert caught.value.status == 404
