"""A defect of OptiLLM's list of models."""

from __future__ import annotations

from collections.abc import Callable

import optillm.server as server
import pytest
from conftest import KEY
from support.defects import defect

from optillm_cerebras_cepo.simulator import Simulator


@defect
def test_the_list_of_models_fails(
    plugins: None, simulate: Callable[..., Simulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the API's models, with the base URL that chat completions want."""
    monkeypatch.setenv("CEREBRAS_API_KEY", KEY)
    monkeypatch.setitem(server.server_config, "base_url", simulate(models=("llama3.1-8b", "gpt-oss-120b")).url)
    response = server.app.test_client().get("/v1/models")
    assert response.status_code == 200
    assert {model["id"] for model in response.get_json()["data"]} == {"llama3.1-8b", "gpt-oss-120b"}
