"""What we rely on in OptiLLM. An upgrade that changes one of these fails here, by its name."""

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
from optillm.cepo.cepo import CepoConfig
from support.desk import Desk

from optillm_cerebras_cepo.cepo import upstream
from optillm_cerebras_cepo.cepo.candidate import always
from optillm_cerebras_cepo.cepo.seam import CandidateSeam
from optillm_cerebras_cepo.settings import HOST_ONLY, Settings

SUPPORTED = ("0.3.21", "0.3.22", "0.4.0")


def test_this_is_a_supported_optillm() -> None:
    """The versions that were read and run."""
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
def test_the_functions_that_we_drive_take_what_we_give(function: Any, parameters: list[str]) -> None:
    """By name, so that a new parameter in between does no harm."""
    known = inspect.signature(function).parameters
    assert [name for name in parameters if name not in known] == []
    optional = [name for name in known if name not in parameters]
    assert all(known[name].default is not inspect.Parameter.empty for name in optional)


def test_every_field_of_cepoconfig_is_ours_too() -> None:
    """A new field of OptiLLM's must be given a meaning here, or be named as one without."""
    fields = {field.name for field in dataclasses.fields(CepoConfig)}
    assert fields - HOST_ONLY <= set(Settings.model_fields)


def test_our_defaults_are_those_of_optillms_file() -> None:
    """Without any configuration, medium effort is OptiLLM's own CePO."""
    file = Path(optillm.__file__).parent / "cepo" / "configs" / "cepo_config.yaml"
    packaged = {name: value for name, value in yaml.safe_load(file.read_text()).items() if name not in HOST_ONLY}
    assert {name: getattr(Settings(), name) for name in packaged} == packaged


def test_reasoning_and_retries_are_off_above_the_seam() -> None:
    """Both are decided below it."""
    config = upstream.configuration(Settings(planning_max_tokens_step0=5), bestofn_n=9)
    assert (config.use_reasoning, config.use_reasoning_fallback, config.num_of_retries) == (False, False, 0)
    assert (config.planning_max_tokens_step0, config.bestofn_n) == (5, 9)


def test_the_functions_reach_the_model_through_the_seam_alone() -> None:
    """A candidate of the default configuration is 8 calls, all of them seen."""
    it = Desk("an answer")
    upstream.generate_completion(
        system_prompt="",
        task="question",
        client=_Counting(it),
        model="m",
        cepo_config=upstream.configuration(Settings()),
    )
    assert len(it.client.requests) == 8


class _Counting:
    """A client with the one method and nothing else: any other use of it would fail."""

    __slots__ = ("chat",)

    def __init__(self, it: Desk) -> None:
        self.chat = CandidateSeam(it.asker, 1, always).chat


def test_plugins_are_found_in_optillms_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any working directory; that is where our wheel puts the shim."""
    monkeypatch.chdir(tmp_path)
    server.load_plugins()
    assert "cepo_cerebras" in server.plugin_approaches


def test_the_slug_parses_from_approach_and_model_name() -> None:
    """With a model behind it, and combined."""
    server.load_plugins()
    parse = server.parse_combined_approach
    known = server.known_approaches, server.plugin_approaches
    assert parse("cepo_cerebras-llama3.3-70b", *known) == ("SINGLE", ["cepo_cerebras"], "llama3.3-70b")
    assert parse("cepo_cerebras&re2-m", *known) == ("AND", ["cepo_cerebras", "re2"], "m")


def test_no_key_of_ours_stands_in_the_servers_configuration() -> None:
    """`init_cepo_config` takes every key with "cepo" in it for a field, and dies of an unknown one."""
    assert not [key for key in server.server_config if "cepo" in key and not key.startswith("cepo_")]


def test_the_client_has_key_and_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """OptiLLM builds a Cerebras client for each request; we take these two from it."""
    client = Cerebras(api_key="csk-x", base_url="http://127.0.0.1:1", warm_tcp_connection=False)
    assert (client.api_key, str(client.base_url).rstrip("/")) == ("csk-x", "http://127.0.0.1:1")


def test_what_we_call_of_the_server_is_there() -> None:
    """Its parsers, its door, its configuration."""
    for name in ("parse_conversation", "parse_combined_approach", "extract_optillm_approach", "get_config_path"):
        assert callable(getattr(server, name))
    assert {"approach", "model", "n", "base_url"} <= set(server.server_config)
    assert server.app.before_request_funcs[None][0].__name__ == "check_api_key"  # OptiLLM's door stands before ours
