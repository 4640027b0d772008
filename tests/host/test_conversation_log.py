"""OptiLLM's conversation log: the entry of each request and what is added to it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flask
import optillm.server as server
import pytest
from conftest import KEY
from optillm.conversation_logger import ConversationLogger
from pytest_mock import MockerFixture

from optillm_cerebras_cepo.core.chat import ChatRequest, Completion, Label, Message, RawMessage, Step, Usage
from optillm_cerebras_cepo.core.errors import RateLimited
from optillm_cerebras_cepo.host import optillm, plugin
from optillm_cerebras_cepo.host.conversation_log import LogEntry
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

BODY: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}
REQUEST = ChatRequest("m", (Message("user", "q"),), 10, Label(Step.PLAN, 2), temperature=0.0, options={"top_p": 0.9})
COMPLETION = Completion("m", "an answer", "stop", Usage(10, 5))
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}


def log_entry(*, hold: bool = False) -> LogEntry | None:
    """Return the current request's entry; None if there is none."""
    found = optillm.log_entry()
    return LogEntry(*found, hold=hold) if found else None


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConversationLogger:
    """OptiLLM's logger, enabled."""
    log = ConversationLogger(tmp_path, enabled=True)
    monkeypatch.setattr(server, "conversation_logger", log)
    return log


@pytest.fixture
def request_id(plugins: None, log: ConversationLogger) -> Iterator[str]:
    """The id of the current request's entry, as `proxy` in OptiLLM's server makes it."""
    with server.app.test_request_context("/v1/chat/completions", method="POST", json=BODY):
        yield log.start_conversation(BODY, "cepo_cerebras", "any")


def written(log: ConversationLogger) -> list[dict[str, Any]]:
    """Return the lines of the log's file."""
    return [json.loads(row) for file in log.log_dir.glob("*.jsonl") for row in file.read_text().splitlines()]


# What we rely on in OptiLLM.


def test_flask_parses_a_body_once() -> None:
    """OptiLLM's route reads the object that our hooks have changed."""
    with server.app.test_request_context("/v1/chat/completions", method="POST", json=BODY):
        assert flask.request.get_json(silent=True) is flask.request.get_json()


def test_optillm_starts_an_entry_within_the_request_and_before_the_plugin(
    ask: Any, log: ConversationLogger, mocker: MockerFixture
) -> None:
    """By the class's method, which returns the entry's id: the id is on `flask.g` when the plugin runs."""
    seen = []
    client = plugin._client

    def spy(given: object) -> Any:
        seen.append((flask.g.get(optillm.LOG_ENTRY), list(log.active_entries)))
        return client(given)

    mocker.patch.object(plugin, "_client", spy)
    assert ask(**SMALL).status_code == 200
    ((noted, started),) = seen
    assert [noted] == started


def test_loading_the_plugin_again_wraps_the_logger_once(plugins: None) -> None:
    """OptiLLM may load its plugins more than once."""
    before = ConversationLogger.start_conversation
    server.load_plugins()
    assert ConversationLogger.start_conversation is before


def test_the_log_finds_its_entries_in_a_dictionary(log: ConversationLogger, request_id: str) -> None:
    """Under any key; the id in the file is that of the entry."""
    log.active_entries["another key"] = log.active_entries.pop(request_id)
    log.log_provider_call("another key", {"a": 1}, {"b": 2})
    log.log_final_response("another key", {"c": 3})
    log.log_error("another key", "an error")
    log.finalize_conversation("another key")
    (entry,) = written(log)
    assert entry["request_id"] == request_id
    assert [(call["call_number"], call["request"], call["response"]) for call in entry["provider_calls"]] == [
        (1, {"a": 1}, {"b": 2})
    ]
    assert (entry["final_response"]["c"], entry["error"]) == (3, "an error")


def test_optillm_warns_of_a_missing_entry(log: ConversationLogger, caplog: pytest.LogCaptureFixture) -> None:
    """It raises nothing."""
    log.log_final_response("nobody", {})
    log.finalize_conversation("nobody")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert written(log) == []


def test_the_logger_is_none_before_the_server_starts() -> None:
    """`main()` sets the module's global."""
    assert server.conversation_logger is None


# Ours.


def test_outside_of_logged_requests_there_is_no_entry(
    plugins: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: ConversationLogger
) -> None:
    """Without a request, without an entry, with a disabled logger, and before the start."""
    assert log_entry() is None
    assert log_entry(hold=True) is None
    context = server.app.test_request_context("/v1/chat/completions", method="POST", json=BODY)
    with context:
        assert log_entry() is None
    for off in (ConversationLogger(tmp_path, enabled=False), None):
        monkeypatch.setattr(server, "conversation_logger", off)
        with context:
            ConversationLogger(tmp_path, enabled=off is None).start_conversation(BODY, "cepo_cerebras", "any")
            assert log_entry() is None
            assert log_entry(hold=True) is None


def test_each_request_finds_its_own_entry(plugins: None, log: ConversationLogger) -> None:
    """With equal messages, while both entries are open."""
    for number in (1, 2):
        with server.app.test_request_context("/", method="POST", json=BODY):
            request_id = log.start_conversation(BODY, "cepo_cerebras", "any")
            found = log_entry()
            assert found is not None
            found.record(REQUEST, COMPLETION)
            assert len(log.active_entries) == number
            assert len(log.active_entries[request_id].provider_calls) == 1


def test_a_call_is_logged_as_it_was_sent_and_answered(log: ConversationLogger, request_id: str) -> None:
    """The fields of the body and of the reply, with the call's step and candidate."""
    found = log_entry()
    assert found is not None
    found.record(REQUEST, COMPLETION)
    (call,) = log.active_entries[request_id].provider_calls
    assert call["request"] == {
        "model": "m",
        "messages": [{"role": "user", "content": "q"}],
        "max_completion_tokens": 10,
        "top_p": 0.9,
        "temperature": 0.0,
    }
    assert call["response"] == {
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "an answer"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        "cepo_cerebras": {"step": "plan", "candidate": 2},
    }


def test_tools_reasoning_and_unknown_usage_are_logged(log: ConversationLogger, request_id: str) -> None:
    """Unknown counts are null."""
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    asked = ChatRequest("m", (RawMessage({"role": "user", "content": []}),), 10, Label(Step.DIRECT), listener=print)
    found = log_entry()
    assert found is not None
    found.record(asked, Completion("m", "", "tool_calls", Usage(), reasoning="hm", tool_calls=(call,)))
    (logged,) = log.active_entries[request_id].provider_calls
    assert logged["request"]["stream"] is True
    assert logged["request"]["messages"] == [{"role": "user", "content": []}]
    message = logged["response"]["choices"][0]["message"]
    assert (message["reasoning"], message["tool_calls"]) == ("hm", [call])
    assert logged["response"]["usage"] == dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"))


def test_a_failed_call_is_logged_with_its_error(log: ConversationLogger, request_id: str) -> None:
    """In the format of an error's body."""
    found = log_entry()
    assert found is not None
    found.record(REQUEST, RateLimited("try again later"))
    (call,) = log.active_entries[request_id].provider_calls
    assert call["response"]["error"]["code"] == "rate_limited"


def test_a_call_that_ends_after_its_request_is_ignored(
    log: ConversationLogger, request_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """OptiLLM logs no warning."""
    found = log_entry()
    assert found is not None
    log.finalize_conversation(request_id)
    found.record(REQUEST, COMPLETION)
    assert caplog.records == []


def test_a_held_entry_accepts_calls_until_it_is_finished(log: ConversationLogger, request_id: str) -> None:
    """Even after OptiLLM has tried to write it."""
    held = log_entry(hold=True)
    assert held is not None
    log.log_final_response(request_id, {"choices": []})
    log.finalize_conversation(request_id)
    held.record(REQUEST, COMPLETION)
    assert written(log) == []
    held.finish({"choices": ["whole"]}, None)
    held.finish(None, "a second time")
    (entry,) = written(log)
    assert entry["request_id"] == request_id
    assert [call["call_number"] for call in entry["provider_calls"]] == [1]
    assert (entry["final_response"]["choices"], entry["error"]) == (["whole"], None)
    assert log.active_entries == {}


def test_a_held_entry_can_end_with_an_error(log: ConversationLogger, request_id: str) -> None:
    """With the error that the client gets, and no response."""
    held = log_entry(hold=True)
    assert held is not None
    held.finish(None, "no answer")
    (entry,) = written(log)
    assert (entry["final_response"], entry["error"]) == (None, "no answer")


# The plugin in OptiLLM's app.


def test_every_call_of_a_request_is_in_its_entry(ask: Any, api: Simulator, log: ConversationLogger) -> None:
    """As many as the API has counted, with the bodies that the API has received."""
    body = ask().get_json()
    (entry,) = written(log)
    assert len(entry["provider_calls"]) == len(api.chat_calls) == 24
    sent = [json.dumps(call["request"], sort_keys=True) for call in entry["provider_calls"]]
    assert sorted(sent) == sorted(json.dumps(call.body, sort_keys=True) for call in api.chat_calls)
    assert entry["final_response"]["choices"] == body["choices"]


def test_failed_calls_are_in_the_entry(serve: Any, simulate: Callable[..., Simulator], log: ConversationLogger) -> None:
    """Each retry is a call of its own; the file contains no key."""
    busy = Rule(reply=Reply(503), times=1)
    with_failure = simulate(rules=(busy,))
    serve(with_failure.url)(**SMALL)
    (entry,) = written(log)
    assert len(entry["provider_calls"]) == len(with_failure.chat_calls)
    errors = [call["response"]["error"]["code"] for call in entry["provider_calls"] if "error" in call["response"]]
    assert errors == ["api_unavailable"]
    assert KEY not in json.dumps(entry)


def test_a_request_without_an_answer_is_written_with_its_error(
    serve: Any, simulate: Callable[..., Simulator], log: ConversationLogger
) -> None:
    """By OptiLLM itself, with the calls that failed."""
    api = simulate(rules=(Rule(reply=Reply(401)),))
    assert serve(api.url)(cepo_cerebras_effort="none").status_code == 401
    (entry,) = written(log)
    assert "does not know the key" in entry["error"]
    assert KEY not in json.dumps(entry)
