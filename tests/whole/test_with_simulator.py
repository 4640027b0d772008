"""The whole way: a real `optillm` process, the real SDK, real HTTP, the simulated API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import KEY
from optillm.server import get_config_path
from support.optillm_process import Server, optillm
from support.ports import nobody_listens

from optillm_cerebras_cepo.simulator.options import SimulatorOptions
from optillm_cerebras_cepo.simulator.server import Simulator

QUESTION: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}


@pytest.fixture(scope="module")
def api() -> Iterator[Simulator]:
    """One simulated API for this file; each test clears its books."""
    with Simulator(SimulatorOptions()) as running:
        yield running


@pytest.fixture(scope="module")
def server(api: Simulator) -> Iterator[Server]:
    """Started as the README says, in an empty folder."""
    with optillm("--base-url", api.url, "--approach", "cepo_cerebras", environ={"CEREBRAS_API_KEY": KEY}) as running:
        yield running


def test_a_default_request_with_reasoning_effort_answers(server: Server, api: Simulator) -> None:
    """On a strict API: no call carries the field, and the usage reported is the API's own count.

    The simulated replies have no approaches, in two calls for them.
    """
    api.clear()
    body = server.ask(QUESTION | {"reasoning_effort": "high"}).json()
    assert body["choices"][0]["message"]["content"].startswith("The simulated answer is 42.")
    assert body["cepo_cerebras"]["calls"] == len(api.chat_calls) == 40 + 2
    assert not [call for call in api.chat_calls if "reasoning_effort" in call.body]
    assert body["usage"]["prompt_tokens"] == api.usage.prompt_tokens
    assert body["usage"]["completion_tokens"] == api.usage.completion_tokens


def test_optillms_own_approach_dies_of_the_same_request(server: Server, api: Simulator) -> None:
    """The reason for this package, on the same server."""
    api.clear()
    response = server.ask(QUESTION | {"optillm_approach": "cepo", "model": "llama-3.3-70b"})
    assert response.status_code == 500
    assert "reasoning_effort" in response.text
    assert {call.status for call in api.chat_calls} == {400}


def test_the_plugin_is_loaded_and_listed(server: Server) -> None:
    """By OptiLLM's own word, and without an error of ours."""
    assert "Loaded package plugin: cepo_cerebras" in server.log
    assert "cepo_cerebras_plugin.py:" not in server.log


@pytest.mark.parametrize("flags", [["--cepo_bestofn_n", "2"], ["--cepo_config_file", "few.yaml"]])
def test_optillms_flags_and_file_are_honoured(api: Simulator, tmp_path: Path, flags: list[str]) -> None:
    """As the base of our settings: two candidates instead of three."""
    few = yaml.safe_load(Path(get_config_path()).read_text()) | {"bestofn_n": 2}
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(few))
    arguments = ["--base-url", api.url, "--approach", "cepo_cerebras", *flags]
    with optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY}, folder=str(tmp_path)) as running:
        assert len(running.ask(QUESTION).json()["cepo_cerebras"]["candidates"]) == 2


def test_a_broken_configuration_file_stops_the_start_in_one_line(api: Simulator, tmp_path: Path) -> None:
    """Where OptiLLM's own start ends in a trace."""
    broken = yaml.safe_load(Path(get_config_path()).read_text())
    broken["bestof_n"] = broken.pop("bestofn_n")
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(broken))
    arguments = ["--approach", "cepo_cerebras", "--cepo_config_file", str(tmp_path / "broken.yaml")]
    with pytest.raises(AssertionError) as caught, optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY}):
        pass
    assert "did you mean bestofn_n?" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_without_a_key_the_client_is_told(api: Simulator) -> None:
    """The server starts, as OptiLLM does; each request says what is missing."""
    with optillm("--base-url", api.url, "--approach", "cepo_cerebras", environ={}) as running:
        response = running.ask(QUESTION)
    assert response.status_code == 401
    assert "CEREBRAS_API_KEY" in response.json()["error"]["message"]
    assert "Traceback" not in running.log


def test_batch_mode_answers_with_text(api: Simulator) -> None:
    """OptiLLM runs the plugin on a thread without a request, and takes strings alone."""
    arguments = ["--base-url", api.url, "--approach", "cepo_cerebras", "--batch-mode", "--batch-wait-ms", "1"]
    small = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
    with optillm(*arguments, environ={"CEREBRAS_API_KEY": KEY}) as running:
        body: Any = running.ask(QUESTION | small).json()
    assert body["choices"][0]["message"]["content"].startswith("The simulated answer is 42.")


def test_an_unreachable_api_is_told() -> None:
    """502 after the last try, not a trace."""
    environ = {"CEREBRAS_API_KEY": KEY, "CEPO_CEREBRAS_CALL_ATTEMPTS": "1"}
    with nobody_listens() as url, optillm("--base-url", url, "--approach", "cepo_cerebras", environ=environ) as running:
        response = running.ask(QUESTION)
    assert response.status_code == 502
    assert "cannot be reached" in response.json()["error"]["message"]


def test_simultaneous_requests_do_not_meet(server: Server, api: Simulator) -> None:
    """Each has its own settings and its own books."""
    from concurrent.futures import ThreadPoolExecutor

    def ask(candidates: int) -> dict[str, Any]:
        body: dict[str, Any] = server.ask(QUESTION | {"cepo_cerebras_bestofn_n": candidates}).json()["cepo_cerebras"]
        return body

    api.clear()
    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(ask, (1, 2, 3, 4)))
    assert [len(reply["candidates"]) for reply in replies] == [1, 2, 3, 4]
    assert [reply["calls"] for reply in replies] == [8, 16, 24, 32]
    assert sum(reply["calls"] for reply in replies) == len(api.chat_calls)
