"""What this package relies on in OptiLLM. An upgrade that changes it fails here."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import inspect
from pathlib import Path
from typing import Any

import optillm
import optillm.server as server
import pytest
import yaml
from cerebras.cloud.sdk import Cerebras
from optillm.cepo import cepo
from optillm.cepo.cepo import CepoConfig, generate_completion
from support.desk import Desk

from optillm_cerebras_cepo.cepo.candidate import always, configuration
from optillm_cerebras_cepo.cepo.seam import CandidateSeam
from optillm_cerebras_cepo.host import optillm as optillm_adapter
from optillm_cerebras_cepo.settings.declaration import Settings
from optillm_cerebras_cepo.settings.loading import HOST_ONLY

SUPPORTED = ("0.3.21", "0.3.22", "0.4.0")


def test_this_is_a_supported_optillm() -> None:
    """One of the versions that this package was tested with."""
    assert importlib.metadata.version("optillm") in SUPPORTED


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (cepo.generate_completion, ["system_prompt", "task", "client", "model", "cepo_config", "approach"]),
        (
            cepo.generate_approaches,
            ["system_prompt", "initial_query", "num_approach", "client", "model", "cepo_config"],
        ),
        (
            cepo.rate_completions_absolute,
            ["system_prompt", "initial_query", "client", "model", "completions", "cepo_config", "cb_log"],
        ),
        (
            cepo.rate_completions_pairwise,
            ["system_prompt", "initial_query", "client", "model", "completions", "cepo_config", "cb_log"],
        ),
        (cepo.rate_completions_majority, ["completions"]),
    ],
)
def test_cepos_functions_have_the_parameters_that_we_pass(function: Any, parameters: list[str]) -> None:
    """By name; further parameters must have defaults."""
    known = inspect.signature(function).parameters
    assert [name for name in parameters if name not in known] == []
    optional = [name for name in known if name not in parameters]
    assert all(known[name].default is not inspect.Parameter.empty for name in optional)


def test_every_field_of_cepoconfig_is_a_setting() -> None:
    """Or is listed as unused."""
    fields = {field.name for field in dataclasses.fields(CepoConfig)}
    assert fields - HOST_ONLY <= set(Settings.model_fields)


def test_our_defaults_are_those_of_optillms_file() -> None:
    """Without any configuration, effort medium is OptiLLM's own CePO."""
    file = Path(optillm.__file__).parent / "cepo" / "configs" / "cepo_config.yaml"
    packaged = {name: value for name, value in yaml.safe_load(file.read_text()).items() if name not in HOST_ONLY}
    assert {name: getattr(Settings(), name) for name in packaged} == packaged


def test_reasoning_and_retries_are_off_above_the_seam() -> None:
    """Our client decides about both."""
    config = configuration(Settings(planning_max_tokens_step0=5), bestofn_n=9)
    assert (config.use_reasoning, config.use_reasoning_fallback, config.num_of_retries) == (False, False, 0)
    assert (config.planning_max_tokens_step0, config.bestofn_n) == (5, 9)


def test_the_functions_reach_the_model_through_the_seam_alone() -> None:
    """All 8 calls of a candidate with the default configuration."""
    it = Desk("an answer")
    generate_completion(
        system_prompt="",
        task="question",
        client=_Counting(it),
        model="m",
        cepo_config=configuration(Settings()),
    )
    assert len(it.client.requests) == 8


class _Counting:
    """A client with the one method and nothing else: any other use of it would fail."""

    __slots__ = ("chat",)

    def __init__(self, it: Desk) -> None:
        self.chat = CandidateSeam(it.caller, 1, always).chat


# The adapter, host/optillm.py.


def test_plugins_are_found_in_optillms_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any working directory; our wheel puts the shim there."""
    monkeypatch.chdir(tmp_path)
    server.load_plugins()
    assert {"cepo_cerebras", "none", "re2"} <= optillm_adapter.approaches()
    assert set(optillm_adapter.plugin_files().values()) >= set(server.plugin_approaches)


@pytest.mark.parametrize(
    ("body", "selected"),
    [
        ({"model": "cepo_cerebras-llama3.3-70b"}, ("SINGLE", ["cepo_cerebras"])),
        ({"model": "cepo_cerebras-re2-m"}, ("SINGLE", ["cepo_cerebras", "re2"])),
        ({"model": "m", "optillm_approach": "cepo_cerebras&re2"}, ("AND", ["cepo_cerebras", "re2"])),
        ({"model": "re2|cepo_cerebras-m", "optillm_approach": "auto"}, ("OR", ["re2", "cepo_cerebras"])),
        (
            {"messages": [{"role": "user", "content": "<optillm_approach>re2</optillm_approach>Why?"}]},
            ("SINGLE", ["re2"]),
        ),
        ({"model": "m", "messages": 5}, ("SINGLE", ["none"])),
    ],
)
def test_the_selected_approaches_are_those_that_optillm_runs(
    plugins: None, monkeypatch: pytest.MonkeyPatch, body: dict[str, Any], selected: tuple[str, list[str]]
) -> None:
    """Of a tag, the field or the model's prefix."""
    monkeypatch.setitem(server.server_config, "approach", "auto")
    assert optillm_adapter.selected_approaches(body) == selected


def test_a_tag_is_read_and_removed() -> None:
    """In a message's text."""
    tagged = "<optillm_approach>re2</optillm_approach>Why?"
    assert (optillm_adapter.tagged_approach(tagged), optillm_adapter.without_tag(tagged)) == ("re2", "Why?")
    assert (optillm_adapter.tagged_approach("Why?"), optillm_adapter.without_tag("Why?")) == (None, "Why?")


def test_a_conversation_becomes_one_text_with_marks() -> None:
    """`messages.question_from_text` reads it."""
    turns = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user")]
    assert server.parse_conversation(turns)[:2] == ("system", "User: user\nAssistant: assistant\nUser: user")


def test_server_config_has_no_key_of_ours() -> None:
    """`init_cepo_config` reads every key that contains "cepo" as a field, and fails on an unknown one."""
    assert not [key for key in server.server_config if "cepo" in key and not key.startswith("cepo_")]


def test_the_client_has_key_and_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """We take both from the client that OptiLLM makes for each request."""
    client = Cerebras(api_key="csk-x", base_url="http://127.0.0.1:1", warm_tcp_connection=False)
    assert (client.api_key, str(client.base_url).rstrip("/")) == ("csk-x", "http://127.0.0.1:1")


def test_the_settings_that_we_read_are_there_before_main_has_run() -> None:
    """Every field of the adapter's ServerConfig, with OptiLLM's default for it."""
    config = optillm_adapter.server_config()
    assert (config.n, config.base_url, config.ssl_verify, config.ssl_cert_path) == (1, "", True, "")
    assert not optillm_adapter.batches_requests()
    assert Path(optillm_adapter.cepo_config_path()).is_file()
    assert {field.name for field in optillm_adapter.CEPO_FIELDS} == set(optillm_adapter.cepo_config())


def test_optillm_checks_the_clients_key_before_our_hooks(plugins: None) -> None:
    """Its own hook is the first, and `get_config` is what the route takes its client from."""
    names = [function.__name__ for function in server.app.before_request_funcs[None]]
    assert names[0] == "check_api_key"
    assert callable(server.get_config)
