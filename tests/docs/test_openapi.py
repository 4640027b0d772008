"""docs/openapi.yaml says what the code says: fields, ranges, statuses, codes, and the form of a real reply."""

from __future__ import annotations

from typing import Any

import optillm.server as server
import pytest
from conftest import KEY
from openapi_spec_validator import OpenAPIV31SpecValidator
from support.error_kinds import error_kinds
from support.openapi_file import openai_fields, page, resolved, schema

from optillm_cerebras_cepo import __version__, errors
from optillm_cerebras_cepo.chat import Step
from optillm_cerebras_cepo.errors import Ended
from optillm_cerebras_cepo.host import parameters
from optillm_cerebras_cepo.settings import BODY, OPERATORS, REASONING, Settings
from optillm_cerebras_cepo.simulator.server import Simulator

OF_THE_HOST = {"model", "optillm_approach"}  # OptiLLM reads them, to know whose request it is
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "enum", "items")


def test_it_is_openapi() -> None:
    """Version 3.1, without an error, and of this version of the package."""
    OpenAPIV31SpecValidator(page()).validate()
    assert (page()["openapi"], page()["info"]["version"]) == ("3.1.0", __version__)


def test_the_settings_are_those_that_a_request_may_set() -> None:
    """Each with its type, range and meaning; none of the operator's."""
    described = {name.removeprefix(BODY): one for name, one in schema("ChatRequest").items() if name.startswith(BODY)}
    assert set(described) == set(Settings.model_fields) - OPERATORS
    declared = Settings.model_json_schema()["properties"]
    for name, one in described.items():
        found, wanted = resolved(one), declared[name]
        assert found["description"] == wanted["description"]
        if name == "model":
            assert [kind["type"] for kind in found["anyOf"]] == ["string", wanted["type"], "null"]
            continue
        wanted = wanted["anyOf"][0] if "anyOf" in wanted else wanted
        assert found.get("type", [wanted["type"], "null"]) == [wanted["type"], "null"], name
        expected = {bound: wanted[bound] for bound in BOUNDS if bound in wanted}
        if "enum" in expected:
            expected["enum"] = [*expected["enum"], None]
        assert {bound: found[bound] for bound in BOUNDS if bound in found} == expected, name


def test_the_fields_are_those_that_are_read() -> None:
    """By the code that reads OpenAI's fields, and by the settings; no other is described."""
    read = openai_fields()
    assert {"messages", "temperature", "stop", "tools", "logprobs", "audio", "stream_options"} <= read
    described = {name for name in schema("ChatRequest") if not name.startswith(BODY)}
    assert described == read | OF_THE_HOST
    assert schema("ChatRequest")["reasoning_effort"]["enum"] == [*REASONING, None]
    assert resolved(schema("ChatRequest")["n"])["maximum"] == parameters.ANSWERS
    arrays = [kind for kind in schema("ChatRequest")["stop"]["anyOf"] if kind["type"] == "array"]
    assert arrays[0]["maxItems"] == parameters.STOPS


@pytest.mark.parametrize(
    "name",
    [
        "temperature",
        "top_p",
        "frequency_penalty",
        "presence_penalty",
        "n",
        "seed",
        "max_tokens",
        "max_completion_tokens",
    ],
)
def test_the_ends_of_a_range_are_taken_and_nothing_beyond(name: str) -> None:
    """What is described is what `host/parameters.py` does."""
    one = resolved(schema("ChatRequest")[name])
    for bound, step in (("minimum", -1), ("maximum", 1)):
        if bound in one:
            parameters.parameters_from({name: one[bound]})
            with pytest.raises(errors.BadRequest) as caught:
                parameters.parameters_from({name: one[bound] + step})
            assert caught.value.param == name


def test_every_code_is_described_under_its_status() -> None:
    """And no other; what has no code is a defect of ours."""
    wanted: dict[str, set[str | None]] = {}
    for kind in error_kinds():
        if kind is not Ended:  # nobody waits to hear of it
            wanted.setdefault(str(kind.status), set()).add(kind.code)
    responses = page()["paths"]["/v1/chat/completions"]["post"]["responses"]
    described = {}
    for status, response in responses.items():
        if status != "200":
            found = resolved(response)
            assert set(found["headers"]) == {"retry-after", "x-should-retry"}
            body = found["content"]["application/json"]["schema"]
            described[status] = set(body["properties"]["error"]["properties"]["code"]["enum"])
    assert described == wanted


@pytest.mark.parametrize("effort", ["none", "low"])
def test_a_reply_has_what_is_described_and_nothing_else(
    plugins: None, simulate: Any, monkeypatch: pytest.MonkeyPatch, effort: str
) -> None:
    """All names of our object and of its parts; whether their values fit is seen in `tests/api`."""
    api: Simulator = simulate()
    monkeypatch.setenv("CEREBRAS_API_KEY", KEY)
    monkeypatch.setitem(server.server_config, "base_url", api.url)
    monkeypatch.setitem(server.server_config, "approach", "cepo_cerebras")
    body = {"messages": [{"role": "user", "content": "Why?"}], "cepo_cerebras_effort": effort}
    reply = server.app.test_client().post("/v1/chat/completions", json=body).get_json()
    assert set(reply) == set(schema("ChatCompletion"))
    assert set(reply["usage"]) == set(schema("Usage"))
    ours, described = reply["cepo_cerebras"], schema("Account")
    assert set(ours) == set(described) - {"forwarded"}
    assert set(described) - set(page()["components"]["schemas"]["Account"]["required"]) == {"forwarded"}
    assert described["usage"]["propertyNames"]["enum"] == [step.value for step in Step]
    for candidate in ours["candidates"]:
        assert set(candidate) == set(described["candidates"]["items"]["properties"])
