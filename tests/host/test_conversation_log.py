"""OptiLLM's conversation log, in its own process: which entry is ours, and what goes into it."""

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

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Message, RawMessage, Step, Usage
from optillm_cerebras_cepo.errors import RateLimited
from optillm_cerebras_cepo.host import conversation_log
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

BODY: dict[str, Any] = {"model": "any", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}
REQUEST = ChatRequest("m", (Message("user", "q"),), 10, Label(Step.PLAN, 2), temperature=0.0, options={"top_p": 0.9})
COMPLETION = Completion("m", "an answer", "stop", Usage(10, 5))
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConversationLogger:
    """OptiLLM's logger, switched on."""
    log = ConversationLogger(tmp_path, enabled=True)
    monkeypatch.setattr(server, "conversation_logger", log)
    return log


@pytest.fixture
def request_id(log: ConversationLogger) -> Iterator[str]:
    """The id of the entry for a request that this thread serves, as `proxy` in OptiLLM's server makes it."""
    with server.app.test_request_context("/v1/chat/completions", method="POST", json=BODY):
        data = flask.request.get_json()
        yield log.start_conversation({"messages": data["messages"], "model": "any"}, "cepo_cerebras", "any")


def written(log: ConversationLogger) -> list[dict[str, Any]]:
    """The lines of the log's file."""
    return [json.loads(row) for file in log.log_dir.glob("*.jsonl") for row in file.read_text().splitlines()]


# What we rely on in OptiLLM.


def test_flask_parses_a_body_once() -> None:
    """Also for one who asks silently: the list of messages is known by its identity."""
    with server.app.test_request_context("/v1/chat/completions", method="POST", json=BODY):
        silent: Any = flask.request.get_json(silent=True)
        assert silent["messages"] is flask.request.get_json()["messages"]


def test_an_entry_holds_the_messages_that_were_parsed(ask: Any, log: ConversationLogger, mocker: MockerFixture) -> None:
    """OptiLLM copies the request's fields, not what is in them."""
    seen = []
    start = log.start_conversation

    def spy(client_request: dict[str, Any], **more: Any) -> str:
        request_id = start(client_request=client_request, **more)
        parsed = flask.request.get_json()["messages"]
        seen.append(log.active_entries[request_id].client_request["messages"] is parsed)
        return str(request_id)

    mocker.patch.object(log, "start_conversation", spy)
    assert ask(**SMALL).status_code == 200
    assert seen == [True]


def test_the_log_finds_its_entries_in_a_dictionary_under_a_lock(log: ConversationLogger, request_id: str) -> None:
    """Whatever their key is, and what is written has the id of the entry."""
    with log._lock:
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


def test_optillm_only_warns_of_an_entry_that_it_does_not_find(
    log: ConversationLogger, caplog: pytest.LogCaptureFixture
) -> None:
    """It answers the request all the same."""
    log.log_final_response("nobody", {})
    log.finalize_conversation("nobody")
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert written(log) == []


def test_the_servers_log_is_none_before_it_starts() -> None:
    """And a module's global after that."""
    assert server.conversation_logger is None


# Ours.


def test_without_an_entry_there_is_no_recorder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: ConversationLogger
) -> None:
    """Outside of a request, for one that OptiLLM does not log, with the log switched off, and before the start."""
    assert conversation_log.recorder() is None
    assert conversation_log.hold() is None
    context = server.app.test_request_context("/v1/chat/completions", method="POST", json=BODY)
    with context:
        log.start_conversation({"messages": [dict(message) for message in BODY["messages"]]}, "cepo_cerebras", "any")
        assert conversation_log.recorder() is None
    for off in (ConversationLogger(tmp_path, enabled=False), None):
        monkeypatch.setattr(server, "conversation_logger", off)
        with context:
            assert conversation_log.recorder() is None
            assert conversation_log.hold() is None


@pytest.mark.parametrize("data", ["[]", "{}", "null", '"messages"', "{", ""])
def test_a_body_without_messages_has_no_recorder(log: ConversationLogger, data: str) -> None:
    """Such a request does not come this far; the log is no reason to fail."""
    with server.app.test_request_context("/", method="POST", data=data, content_type="application/json"):
        assert conversation_log.recorder() is None


def test_each_request_finds_its_own_entry(log: ConversationLogger) -> None:
    """Of two with the same words, which OptiLLM works on at the same time."""
    for number in (1, 2):
        with server.app.test_request_context("/", method="POST", json=BODY):
            messages = flask.request.get_json()["messages"]
            request_id = log.start_conversation({"messages": messages}, "cepo_cerebras", "any")
            found = conversation_log.recorder()
            assert found is not None
            found(REQUEST, COMPLETION)
            assert len(log.active_entries) == number
            assert len(log.active_entries[request_id].provider_calls) == 1


def test_a_call_is_logged_as_it_was_sent_and_answered(log: ConversationLogger, request_id: str) -> None:
    """The body's fields and the reply's, and whose call it was."""
    found = conversation_log.recorder()
    assert found is not None
    found(REQUEST, COMPLETION)
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
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "an answer"}, "finish_reason": "stop"},
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        "cepo_cerebras": {"step": "plan", "candidate": 2},
    }


def test_tools_thoughts_and_unknown_usage_are_logged_too(log: ConversationLogger, request_id: str) -> None:
    """What is not known is null."""
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    asked = ChatRequest("m", (RawMessage({"role": "user", "content": []}),), 10, Label(Step.DIRECT), listener=print)
    found = conversation_log.recorder()
    assert found is not None
    found(asked, Completion("m", "", "tool_calls", Usage(), reasoning="hm", tool_calls=(call,)))
    (logged,) = log.active_entries[request_id].provider_calls
    assert logged["request"]["stream"] is True
    assert logged["request"]["messages"] == [{"role": "user", "content": []}]
    message = logged["response"]["choices"][0]["message"]
    assert (message["reasoning"], message["tool_calls"]) == ("hm", [call])
    assert logged["response"]["usage"] == dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"))


def test_a_failed_call_is_logged_with_its_error(log: ConversationLogger, request_id: str) -> None:
    """In the shape of an error's body."""
    found = conversation_log.recorder()
    assert found is not None
    found(REQUEST, RateLimited("try again later"))
    (call,) = log.active_entries[request_id].provider_calls
    assert call["response"]["error"]["code"] == "rate_limited"


def test_a_call_that_ends_after_its_request_is_let_go(
    log: ConversationLogger, request_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a warning of OptiLLM's."""
    found = conversation_log.recorder()
    assert found is not None
    log.finalize_conversation(request_id)
    found(REQUEST, COMPLETION)
    assert caplog.records == []


def test_a_held_entry_takes_calls_until_it_is_finished(log: ConversationLogger, request_id: str) -> None:
    """Though OptiLLM has answered and written what it has."""
    held = conversation_log.hold()
    assert held is not None
    log.log_final_response(request_id, {"choices": []})
    log.finalize_conversation(request_id)
    held.recorder(REQUEST, COMPLETION)
    assert written(log) == []
    held.finish({"choices": ["whole"]}, None)
    held.finish(None, "a second time")
    (entry,) = written(log)
    assert entry["request_id"] == request_id
    assert [call["call_number"] for call in entry["provider_calls"]] == [1]
    assert (entry["final_response"]["choices"], entry["error"]) == (["whole"], None)
    assert log.active_entries == {}


def test_a_held_entry_can_end_with_an_error(log: ConversationLogger, request_id: str) -> None:
    """What the client was told, and no response."""
    held = conversation_log.hold()
    assert held is not None
    held.finish(None, "no answer")
    (entry,) = written(log)
    assert (entry["final_response"], entry["error"]) == (None, "no answer")


# The plugin in OptiLLM's app.


def test_every_call_of_a_request_is_in_its_entry(ask: Any, api: Simulator, log: ConversationLogger) -> None:
    """As many as the API has counted, each with the body that the API got."""
    body = ask().get_json()
    (entry,) = written(log)
    assert len(entry["provider_calls"]) == len(api.chat_calls) == 27
    sent = [json.dumps(call["request"], sort_keys=True) for call in entry["provider_calls"]]
    assert sorted(sent) == sorted(json.dumps(call.body, sort_keys=True) for call in api.chat_calls)
    assert entry["final_response"]["choices"] == body["choices"]


def test_failed_and_refused_calls_are_in_it_too(
    serve: Any, simulate: Callable[..., Simulator], log: ConversationLogger
) -> None:
    """Each try is a call; and no key is in the file."""
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
    """OptiLLM's own way; the calls that failed stand beside it."""
    api = simulate(rules=(Rule(reply=Reply(401)),))
    assert serve(api.url)(cepo_cerebras_effort="none").status_code == 401
    (entry,) = written(log)
    assert "does not know the key" in entry["error"]
    assert KEY not in json.dumps(entry)
