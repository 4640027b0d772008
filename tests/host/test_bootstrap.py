"""`launch`, in a process of its own: it changes OptiLLM's module for the whole process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.waiting import PATIENCE

SHOWN = """
import json, os, sys
from optillm_cerebras_cepo.core.errors import BadConfiguration
from optillm_cerebras_cepo.host.bootstrap import launch

for name in {absent}:
    sys.modules[name] = None
try:
    launched = launch({arguments}, {served}, {by_message})
except BadConfiguration as error:
    print(json.dumps({{"error": error.message}}))
    sys.exit()
import optillm.server as server

real = [name for name, module in sys.modules.items() if getattr(module, "__file__", None)]
print(json.dumps({{
    "host": launched.host,
    "port": launched.port,
    "base_url": launched.base_url,
    "models": launched.models,
    "client_key": launched.client_key,
    "left": server.server_config["optillm_api_key"],
    "approach": server.server_config["approach"],
    "known": server.known_approaches,
    "plugins": sorted(server.plugin_approaches),
    "heavy": [name for name in ("openai", "math_verify", "sympy", "numpy", "networkx", "z3") if name in real],
    "modules": sorted(name for name in real if name.startswith("optillm.") and name.count(".") == 1),
    "tag": server.extract_optillm_approach("a <optillm_approach>bon</optillm_approach>"),
    "clients": len({{id(server.get_config()[0]) for _ in range(3)}}) if "CEREBRAS_API_KEY" in os.environ else 0,
}}))
"""


@cache
def launched(
    *arguments: str,
    served: tuple[str, ...] = ("cepo_cerebras", "none"),
    by_message: bool = False,
    absent: tuple[str, ...] = (),
    folder: Path | None = None,
    **environ: str,
) -> Mapping[str, Any]:
    """Return the state of a process that has launched OptiLLM, or its error."""
    program = SHOWN.format(arguments=list(arguments), served=served, by_message=by_message, absent=absent)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, **environ},
        cwd=folder,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout, done.stderr
    found: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_only_served_approaches_are_imported() -> None:
    """Neither the modules of other approaches nor their libraries."""
    found = launched()
    assert (found["known"], found["plugins"], found["approach"]) == (["none"], ["cepo_cerebras"], "cepo_cerebras")
    assert found["heavy"] == []
    assert found["modules"] == ["optillm.batching", "optillm.cepo", "optillm.conversation_logger", "optillm.server"]


def test_default_address_and_models() -> None:
    """Port 8080 of this host, the Cerebras API, and the pinned model."""
    found = launched()
    assert (found["host"], found["port"]) == ("127.0.0.1", 8080)
    assert (found["base_url"], found["models"]) == ("https://api.cerebras.ai", ["llama3.3-70b"])


def test_optillms_flags_and_variables_are_obeyed() -> None:
    """Flags take precedence over variables, and both over our defaults."""
    found = launched("--port", "1", "--host=0.0.0.0", OPTILLM_PORT="2", OPTILLM_APPROACH="auto")
    assert (found["host"], found["port"], found["approach"]) == ("0.0.0.0", 1, "none")
    found = launched(CEREBRAS_BASE_URL="http://127.0.0.1:1", CEPO_CEREBRAS_MODEL="llama3.1-8b, gpt-oss-120b")
    assert (found["base_url"], found["models"]) == ("http://127.0.0.1:1", ["llama3.1-8b", "gpt-oss-120b"])


def test_optillms_client_key_is_handed_to_the_sidecar() -> None:
    """OptiLLM itself checks no key any more."""
    found = launched("--optillm-api-key", "sk-client")
    assert (found["client_key"], found["left"]) == ("sk-client", "")


def test_a_served_approach_is_imported() -> None:
    """One of OptiLLM's own and a plugin, with their libraries."""
    found = launched(served=("cepo_cerebras", "bon", "majority_voting"))
    assert (found["known"], found["plugins"]) == (["bon"], ["cepo_cerebras", "majority_voting"])
    assert "optillm.bon" in found["modules"]
    assert "openai" in found["heavy"]


def test_a_plugin_of_the_operator_is_loaded_only_if_served(tmp_path: Path) -> None:
    """From the working directory; otherwise its code does not run."""
    plugins = tmp_path / "optillm" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "mine_plugin.py").write_text("SLUG = 'mine'\ndef run(*_): return '', 0\n")
    assert launched(folder=tmp_path)["plugins"] == ["cepo_cerebras"]
    assert launched(folder=tmp_path, served=("mine",))["plugins"] == ["cepo_cerebras", "mine"]


def test_tags_are_text_unless_messages_may_choose() -> None:
    """If they may, OptiLLM removes tags from the text, but reads no approach from them."""
    assert launched()["tag"] == ["a <optillm_approach>bon</optillm_approach>", None]
    assert launched(by_message=True)["tag"] == ["a", None]


def test_one_client_for_all_requests() -> None:
    """OptiLLM makes a client for each request, and opens a connection with it."""
    assert launched(CEREBRAS_API_KEY="csk-0", CEREBRAS_BASE_URL="http://127.0.0.1:9")["clients"] == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"OPTILLM_API_KEY": "x"}, "OPTILLM_API_KEY makes OptiLLM serve a local model"),
        ({"OPTILLM_LAUNCH_GUI": "true"}, "--launch-gui would start OptiLLM's own server"),
        ({"served": ("cepo_cerebras", "nonsense")}, "OptiLLM has no approach nonsense; it has bon, "),
        ({"served": ("z3",), "absent": ("z3",)}, "z3 needs the package z3, which is not installed"),
        ({"served": ("spl",), "absent": ("optillm.plugins.spl", "optillm.plugins")}, "OptiLLM could not load spl: "),
        ({"OPTILLM_APPROACH": "z3"}, "the server's own approach must be one that it serves: cepo_cerebras, none"),
        ({"CEPO_CEREBRAS_EFORT": "low"}, "unknown field in the environment: CEPO_CEREBRAS_EFORT (did you mean "),
    ],
)
def test_a_failed_start_has_a_message_with_the_cause(given: dict[str, Any], words: str) -> None:
    """One line."""
    assert launched(**given)["error"].startswith(words)


def test_unknown_flags_are_refused() -> None:
    """With the nearest one, if there is one."""
    assert launched("--no-such-flag")["error"] == "Unrecognized arguments: --no-such-flag."
    assert launched("--aproach", "x")["error"] == "Unrecognized arguments: --aproach; did you mean --approach?"
