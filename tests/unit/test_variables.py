"""Misspelt variables of the connection."""

from __future__ import annotations

import pytest

from optillm_cerebras_cepo.core.environment import API_KEY, BASE_URL, misspelt


@pytest.mark.parametrize(
    ("name", "given"),
    [
        (API_KEY, "CEREBRAS_APIKEY"),
        (API_KEY, "CEREBRAS_API_TOKEN"),
        (API_KEY, "CEREBRAS_KEY"),
        (API_KEY, "CEREBAS_API_KEY"),
        (API_KEY, "cerebras_api_key"),
        (BASE_URL, "CEREBRAS_BASEURL"),
        (BASE_URL, "CEREBRAS_URL"),
        (BASE_URL, "CEREBRAS_API_BASE"),
        (BASE_URL, "CEREBRAS_API_BASE_URL"),
    ],
)
def test_a_close_name_is_told(name: str, given: str) -> None:
    """For the variable that it stands for, without its value, and only while that is not set."""
    other = BASE_URL if name == API_KEY else API_KEY
    assert misspelt(name, {given: "planted"}) == f"{name} is not set; {given} is: rename it."
    assert misspelt(name, {given: "planted", name: ""})
    assert misspelt(other, {given: "planted"}) is None
    assert misspelt(name, {given: "planted", name: "x"}) is None


@pytest.mark.parametrize(
    "given", ["CEREBRAS_MODEL", "OPENAI_API_KEY", "CEREBRAS_API_KEY_FILE", "CEPO_CEREBRAS_CLIENT_KEY", "CEREBRAS"]
)
def test_other_variables_are_not(given: str) -> None:
    """They mean something else."""
    assert misspelt(API_KEY, {given: "x"}) is None
    assert misspelt(BASE_URL, {given: "x"}) is None


def test_an_empty_variable_is_not_set() -> None:
    """Compose sets such ones."""
    assert misspelt(API_KEY, {"CEREBRAS_APIKEY": ""}) is None
