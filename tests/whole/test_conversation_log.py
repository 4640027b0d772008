"""`--log-conversations` of a real `optillm` process: its file has every call that the simulated API has counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from support.optillm_process import Server, optillm
from support.waiting import until

from optillm_cerebras_cepo.simulator.options import SimulatorOptions
from optillm_cerebras_cepo.simulator.server import Simulator

MODEL = "llama-3.3-70b"
QUESTION: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "What is 6 times 7?"}]}
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}


@pytest.fixture(scope="module")
def api() -> Iterator[Simulator]:
    """One simulated API for this file; each test clears its books."""
    with Simulator(SimulatorOptions()) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the log is."""
    return tmp_path_factory.mktemp("conversations")


@pytest.fixture(scope="module")
def server(api: Simulator, folder: Path) -> Iterator[Server]:
    """An optillm that logs."""
    arguments = ["--base-url", api.url, "--approach", "cepo_cerebras"]
    logging = ["--log-conversations", "--conversation-log-dir", str(folder)]
    with optillm(*arguments, *logging, environ={"CEREBRAS_API_KEY": KEY}) as running:
        yield running


def written(folder: Path) -> list[dict[str, Any]]:
    """All whole lines so far."""
    files = sorted(folder.glob("*.jsonl"))
    return [json.loads(row) for file in files for row in file.read_text().rpartition("\n")[0].splitlines()]


def newest(folder: Path, count: int) -> dict[str, Any]:
    """The last line, once there are so many."""
    until(lambda: len(written(folder)) >= count)
    entries = written(folder)
    assert len(entries) == count
    return entries[-1]


def test_a_request_is_one_line_with_all_its_calls(server: Server, api: Simulator, folder: Path) -> None:
    """Prompts and replies of every step as the API got and gave them, the final response, and no key."""
    before = len(written(folder))
    api.clear()
    body = server.ask(QUESTION).json()
    entry = newest(folder, before + 1)
    assert (entry["approach"], entry["error"]) == ("cepo_cerebras", None)
    assert entry["client_request"]["messages"] == QUESTION["messages"]
    calls = entry["provider_calls"]
    assert len(calls) == len(api.chat_calls) == body["cepo_cerebras"]["calls"] == 24
    assert [call["call_number"] for call in calls] == list(range(1, 25))
    sent = Counter(json.dumps(call["request"], sort_keys=True) for call in calls)
    assert sent == Counter(json.dumps(call.body, sort_keys=True) for call in api.chat_calls)
    steps = Counter(call["response"]["cepo_cerebras"]["step"] for call in calls)
    assert steps == {"plan": 9, "execute": 9, "review": 3, "final": 3}
    assert all("42" in call["response"]["choices"][0]["message"]["content"] for call in calls)
    assert sum(call["response"]["usage"]["completion_tokens"] for call in calls) == api.usage.completion_tokens
    final = dict(entry["final_response"])
    del final["timestamp"]
    assert final == body
    assert KEY not in json.dumps(entry)


def test_our_calls_in_a_combination_are_logged(server: Server, api: Simulator, folder: Path) -> None:
    """OptiLLM logs none of its own approaches' calls there: it does not tell them the entry either."""
    before = len(written(folder))
    for approach in ("cepo_cerebras&re2", "cepo_cerebras|re2"):
        server.ask(QUESTION | SMALL | {"optillm_approach": approach})
    assert len(newest(folder, before + 2)["provider_calls"]) == 4
    assert [len(entry["provider_calls"]) for entry in written(folder)[before:]] == [4, 4]


def test_an_approach_of_optillms_own_logs_as_before(server: Server, api: Simulator, folder: Path) -> None:
    """And in the same shape: what reads its lines reads ours."""
    before = len(written(folder))
    server.ask(QUESTION | {"optillm_approach": "re2"})
    (theirs,) = newest(folder, before + 1)["provider_calls"]
    server.ask(QUESTION | {"cepo_cerebras_effort": "none"})
    (ours,) = newest(folder, before + 2)["provider_calls"]
    assert theirs.keys() == ours.keys()
    for fields in (theirs["response"], ours["response"]):
        assert fields["choices"][0]["message"]["content"]
        assert fields["usage"]["completion_tokens"] > 0
    assert {"model", "messages"} <= theirs["request"].keys() & ours["request"].keys()


def test_no_warning_is_logged_of_a_request_that_was_not_streamed(server: Server) -> None:
    """OptiLLM warns of entries that it does not find."""
    server.ask(QUESTION | {"cepo_cerebras_effort": "auto"})
    assert "No active conversation" not in server.log


def test_in_batch_mode_optillm_writes_nothing(api: Simulator, tmp_path: Path) -> None:
    """It begins an entry for each request and never ends it; there is nothing that a plugin could do."""
    arguments = ["--base-url", api.url, "--approach", "cepo_cerebras", "--batch-mode", "--batch-wait-ms", "1"]
    logging = ["--log-conversations", "--conversation-log-dir", str(tmp_path)]
    with optillm(*arguments, *logging, environ={"CEREBRAS_API_KEY": KEY}) as running:
        assert running.ask(QUESTION | SMALL).status_code == 200
    assert written(tmp_path) == []
