from optillm_cerebras_cepo.sidecar.names import listed, names


def test_the_pinned_model_under_each_name_that_works() -> None:
    """The API's own, the operator's spelling, and both behind each approach."""
    assert names("llama-3.3-70b", ["llama3.3-70b"], ["cepo_cerebras", "none"]) == [
        "llama-3.3-70b",
        "llama3.3-70b",
        "cepo_cerebras-llama-3.3-70b",
        "cepo_cerebras-llama3.3-70b",
        "none-llama-3.3-70b",
        "none-llama3.3-70b",
    ]


def test_before_the_api_was_asked() -> None:
    """The table's id of the first that is wanted."""
    assert names(None, ["llama3.1-8b", "gpt-oss-120b"], []) == ["llama3.1-8b"]


def test_of_several_wanted_the_one_that_is_served() -> None:
    """The others would not answer."""
    assert names("gpt-oss-120b", ["llama3.3-70b", "gpt-oss-120b"], []) == ["gpt-oss-120b"]


def test_a_model_that_the_table_does_not_know() -> None:
    """As it is."""
    assert names("my-model", ["my-model"], []) == ["my-model"]


def test_an_entry_has_openais_fields() -> None:
    """All four are required there."""
    assert listed("x") == {"id": "x", "object": "model", "created": 0, "owned_by": "cerebras"}
