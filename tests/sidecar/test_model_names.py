from optillm_cerebras_cepo.sidecar.app import model_entry, model_names


def test_all_names_of_the_pinned_model() -> None:
    """The API's, the operator's, and both with each approach."""
    assert model_names("llama-3.3-70b", ["llama3.3-70b"], ["cepo_cerebras", "none"]) == [
        "llama-3.3-70b",
        "llama3.3-70b",
        "cepo_cerebras-llama-3.3-70b",
        "cepo_cerebras-llama3.3-70b",
        "none-llama-3.3-70b",
        "none-llama3.3-70b",
    ]


def test_before_the_first_check_of_the_api() -> None:
    """The table's id of the first wanted model."""
    assert model_names(None, ["llama3.1-8b", "gpt-oss-120b"], []) == ["llama3.1-8b"]


def test_of_several_models_the_served_one() -> None:
    """The others would not answer."""
    assert model_names("gpt-oss-120b", ["llama3.3-70b", "gpt-oss-120b"], []) == ["gpt-oss-120b"]


def test_a_model_that_is_not_in_the_table() -> None:
    """Its name is unchanged."""
    assert model_names("my-model", ["my-model"], []) == ["my-model"]


def test_an_entry_has_openais_fields() -> None:
    """All four are required."""
    assert model_entry("x") == {"id": "x", "object": "model", "created": 0, "owned_by": "cerebras"}
