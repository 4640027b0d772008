"""Defects of OptiLLM's server: flags, plugins, replies, models, clients and errors."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import optillm.server as server
import pytest
from conftest import KEY
from optillm.cepo.cepo import CepoConfig, init_cepo_config
from support.approaches import PLUGIN, offered
from support.defects import defect
from upstream.conftest import AskCepo, Simulate

from optillm_cerebras_cepo.simulator import Rule
from optillm_cerebras_cepo.simulator.problems import Reply

# docs/upstream/07-flags


def configured_by(monkeypatch: pytest.MonkeyPatch, *flags: str) -> CepoConfig:
    """CePO's configuration on a server with these flags."""
    monkeypatch.setattr("sys.argv", ["optillm", *flags])
    return init_cepo_config(vars(server.parse_args()))


@defect
def test_false_is_read_as_true(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each flag of a boolean that says False is false."""
    names = [field.name for field in dataclasses.fields(CepoConfig) if field.type is bool]
    config = configured_by(monkeypatch, *(word for name in names for word in (f"--cepo_{name}", "False")))
    assert {name: getattr(config, name) for name in names} == dict.fromkeys(names, False)


@defect
def test_flags_of_ratings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of rating and its model are what their flags say."""
    config = configured_by(monkeypatch, "--cepo_bestofn_rating_type", "majority", "--cepo_rating_model", "judge")
    assert (config.bestofn_rating_type, config.rating_model) == ("majority", "judge")


# docs/upstream/10-plugins-dir


@defect
def test_the_folder_of_plugins_comes_too_late(tmp_path: Path) -> None:
    """A plugin there is an approach, whether a flag or a variable names the folder."""
    (tmp_path / "mine_plugin.py").write_text(PLUGIN.format(slug="mine"))
    assert "mine" in offered("--plugins-dir", str(tmp_path))
    assert "mine" in offered(OPTILLM_PLUGINS_DIR=str(tmp_path))


# docs/upstream/11-entry-points


@defect
def test_entry_points_are_not_read(tmp_path: Path) -> None:
    """An installed package that names a module with SLUG and run has brought an approach."""
    (tmp_path / "brought.py").write_text(PLUGIN.format(slug="brought"))
    info = tmp_path / "brought-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[optillm.plugins]\nbrought = brought\n")
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(tmp_path)])
    assert "brought" in offered(PYTHONPATH=path)


# docs/upstream/12-replies


@defect
def test_replies_have_no_id_and_half_a_usage(simulate: Simulate, ask_cepo: AskCepo) -> None:
    """A reply is a chat.completion, and its usage has what the API has counted of all prompts."""
    api = simulate()
    reply = ask_cepo(api)().get_json()
    assert reply["id"]
    assert reply["object"] == "chat.completion"
    assert reply["created"] > 0
    assert reply["usage"]["prompt_tokens"] == api.usage.prompt_tokens
    assert reply["usage"]["total_tokens"] == reply["usage"]["prompt_tokens"] + reply["usage"]["completion_tokens"]


@defect
def test_an_answer_is_cut_at_a_speakers_name(simulate: Simulate, ask_cepo: AskCepo) -> None:
    """It reaches the client as the model wrote it."""
    answer = "Begin each turn with User: or with Assistant: and a space."
    reply = ask_cepo(simulate(rules=(Rule(text=answer),)), bestofn_rating_type="majority")()
    assert reply.get_json()["choices"][0]["message"]["content"] == answer


# docs/upstream/13-models


@defect
def test_the_list_of_models_fails(plugins: None, simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the API's models, with the base URL that chat completions want."""
    monkeypatch.setenv("CEREBRAS_API_KEY", KEY)
    monkeypatch.setitem(server.server_config, "base_url", simulate(models=("llama3.1-8b", "gpt-oss-120b")).url)
    response = server.app.test_client().get("/v1/models")
    assert response.status_code == 200
    assert {model["id"] for model in response.get_json()["data"]} == {"llama3.1-8b", "gpt-oss-120b"}


# docs/upstream/14-client


@defect
def test_a_client_is_built_for_each_request(
    simulate: Simulate, ask_cepo: AskCepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests one after another have one client: it warms up once, and they come over one connection."""
    monkeypatch.setitem(server.server_config, "approach", "none")
    api = simulate()
    ask = ask_cepo(api)
    assert [ask().status_code for _ in range(3)] == [200, 200, 200]
    assert len(api.chat_calls) == 3
    assert (api.warmings, api.connections) == (1, 1)


# docs/upstream/15-statuses


@defect
def test_every_error_is_a_500(simulate: Simulate, ask_cepo: AskCepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The API's own status, and in OpenAI's shape, which says whether and when to try again."""
    monkeypatch.setitem(server.server_config, "approach", "none")
    wait = {"retry-after": "7", "x-should-retry": "false"}
    limited = Reply(429, {"message": "slow down", "code": "request_quota_exceeded"}, wait)
    response = ask_cepo(simulate(rules=(Rule(reply=limited),)))()
    assert response.status_code == 429
    assert response.headers["retry-after"] == "7"
    assert response.get_json()["error"]["code"] == "request_quota_exceeded"
