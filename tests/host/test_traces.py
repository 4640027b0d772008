"""Traces of requests to OptiLLM's real app: what is in them, and that no answer depends on them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY

from optillm_cerebras_cepo.cli.main import main
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of traces, set as an operator sets it."""
    folder = tmp_path / "traces"
    monkeypatch.setenv("CEPO_CEREBRAS_TRACE_DIR", str(folder))
    return folder


def only(folder: Path) -> Any:
    """Return the one trace in the folder."""
    (path,) = folder.iterdir()
    return json.loads(path.read_text())


def shown(capsys: pytest.CaptureFixture[str], arguments: Sequence[str]) -> str:
    """Run `cepo-cerebras trace` and return what it prints."""
    capsys.readouterr()
    main(["trace", *arguments])
    return capsys.readouterr().out


def test_by_default_there_is_no_trace(ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written anywhere."""
    monkeypatch.chdir(tmp_path)
    assert ask(**SMALL).status_code == 200
    assert not list(tmp_path.iterdir())


def test_a_trace_has_every_call_and_what_the_reply_says(ask: Any, api: Simulator, folder: Path) -> None:
    """Without a word of the question or the answer; only its owner can read it."""
    ours = ask().get_json()["cepo_cerebras"]
    trace = only(folder)
    assert (trace["version"], trace["status"], trace["request_id"]) == (1, 200, None)
    assert trace["cepo_cerebras"] == ours
    assert len(trace["calls"]) == len(api.chat_calls) == 24
    assert sum(call["prompt_tokens"] for call in trace["calls"]) == api.usage.prompt_tokens
    assert sum(call["completion_tokens"] for call in trace["calls"]) == api.usage.completion_tokens
    assert {call["model"] for call in trace["calls"]} == {"llama-3.3-70b"}
    assert all(0 <= call["started"] <= call["started"] + call["seconds"] <= trace["seconds"] for call in trace["calls"])
    assert trace["events"][-1] == {**trace["events"][-1], "kind": "candidates_compared", "agreeing": 3, "candidates": 3}
    assert "6 times 7" not in json.dumps(trace)
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o077 == 0


def test_texts_are_recorded_where_they_are_asked_for(ask: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts and replies of each call, and never a key."""
    monkeypatch.setenv("CEPO_CEREBRAS_TRACE_TEXT", "true")
    answer = ask(**SMALL).get_json()["choices"][0]["message"]["content"]
    trace = only(folder)
    assert all("6 times 7" in json.dumps(call["messages"]) for call in trace["calls"][:1])
    assert trace["calls"][-1]["text"].strip() == answer
    assert KEY not in json.dumps(trace)


def test_failures_and_waits_are_recorded(simulate: Callable[..., Simulator], serve: Any, folder: Path) -> None:
    """Each with its reason."""
    api = simulate(rules=(Rule(times=1, reply=Reply(503, "later")),))
    assert serve(api.url)(**SMALL).status_code == 200
    trace = only(folder)
    assert [call.get("error") for call in trace["calls"]] == ["api_unavailable", None, None, None, None]
    assert [wait["error"] for wait in trace["waits"]] == ["api_unavailable"]


def test_a_request_that_fails_has_a_trace(simulate: Callable[..., Simulator], serve: Any, folder: Path) -> None:
    """With the error of its response."""
    api = simulate(rules=(Rule(reply=Reply(401, {"message": "no"})),))
    response = serve(api.url)(**SMALL)
    trace = only(folder)
    assert (trace["status"], trace["error"]) == (401, response.get_json()["error"])


def test_a_stream_has_a_trace(ask: Any, folder: Path) -> None:
    """Written when it ends."""
    streamed = ask(**SMALL, stream=True).get_data(as_text=True)
    assert len(only(folder)["calls"]) == 4
    assert streamed.count("candidate 1 plan: ") == 1  # it reports progress all the same


def test_a_folder_that_cannot_be_written_costs_no_answer(
    ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One line of the log says so."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CEPO_CEREBRAS_TRACE_DIR", str(tmp_path / "file" / "traces"))
    with caplog.at_level(logging.WARNING, logger="optillm_cerebras_cepo"):
        assert ask(**SMALL).status_code == 200
    assert [record.message for record in caplog.records if "trace" in record.message] == [
        "cepo_cerebras: a trace cannot be written to the folder of traces (NotADirectoryError)"
    ]


def test_the_command_lists_and_shows_traces(ask: Any, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The latest first; a timeline has a line for each call."""
    for question in ("What is 6 times 7?", "What is 7 times 8?"):
        ask(question, **SMALL)
    listed = shown(capsys, []).splitlines()
    assert len(listed) == 2
    assert all("4 calls" in line for line in listed)
    newest = listed[0].split()[0]
    assert shown(capsys, ["last"]) == shown(capsys, [newest[:11]])
    assert shown(capsys, ["last"]).count("█") >= 4
    assert json.loads(shown(capsys, [newest, "--json"]))["id"] == newest


@pytest.mark.parametrize("arguments", [[], ["last"], ["0000"]])
def test_the_command_says_where_there_is_no_trace(
    folder: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In one line, with exit status 1."""
    with pytest.raises(SystemExit) as caught:
        main(["trace", *arguments])
    assert caught.value.code == 1
    assert "has no trace" in capsys.readouterr().err


def test_the_command_needs_a_folder(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """By flag or by variable."""
    monkeypatch.delenv("CEPO_CEREBRAS_TRACE_DIR", raising=False)
    with pytest.raises(SystemExit):
        main(["trace"])
    assert "--trace-dir DIR" in capsys.readouterr().err


def live(response: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return the entries of a stream's live trace, each with the name of its list."""
    events = [line.removeprefix("data: ") for line in response.get_data(as_text=True).split("\n\n")]
    ours = [json.loads(line).get("cepo_cerebras", {}) for line in events if line.startswith("{")]
    found = [one["trace"] for one in ours if "trace" in one]
    return [(name, entry) for one in found for name, entry in one.items()]


def test_a_stream_has_a_live_trace_where_it_is_asked_for(ask: Any, folder: Path) -> None:
    """Its entries are those of the trace, and each call was announced before."""
    entries = live(ask(stream=True, cepo_cerebras_live_trace="numbers", cepo_cerebras_rate_always=True))
    trace = only(folder)
    ended = {call["number"]: call for name, call in entries if name == "calls" and "seconds" in call}
    begun = [call["number"] for name, call in entries if name == "calls" and "seconds" not in call]
    assert len(begun) == len(set(begun)) == 27
    assert ended.keys() == set(begun)
    assert [entry["kind"] for name, entry in entries if name == "events"] == [one["kind"] for one in trace["events"]]
    assert not any("text" in call for call in ended.values())
    for call in ended.values():
        assert {"finish_reason", "prompt_tokens", "completion_tokens", "max_tokens", "started"} <= call.keys()


def test_a_live_trace_has_replies_where_they_are_asked_for(ask: Any) -> None:
    """And never a prompt, which has OptiLLM's own words."""
    response = ask(**SMALL, stream=True, cepo_cerebras_live_trace="replies")
    calls = [call for name, call in live(response) if name == "calls" and "seconds" in call]
    assert len(calls) == 4
    assert all(call["text"] for call in calls)
    assert not any("messages" in call for call in calls)


@pytest.mark.parametrize("body", [{"stream": True}, {"cepo_cerebras_live_trace": "replies"}], ids=str)
def test_others_have_no_live_trace(ask: Any, body: dict[str, Any]) -> None:
    """A stream that does not ask for it, and a whole reply."""
    assert '"trace"' not in ask(**SMALL, **body).get_data(as_text=True)
