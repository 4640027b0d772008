"""Answers in the format that a client requests: checked, and requested once more if they do not match."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.problems import Reply
from optillm_cerebras_cepo.simulator.server import Simulator

Simulate = Callable[..., Simulator]
SMALL = {"cepo_cerebras_bestofn_n": 1, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
PAIR = {"cepo_cerebras_bestofn_n": 2, "cepo_cerebras_planning_n": 1, "cepo_cerebras_planning_m": 1}
SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]}
AS_SCHEMA = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}


def test_a_matching_answer_needs_no_further_call(serve: Any, simulate: Simulate) -> None:
    """It is taken out of its code fence."""
    api = simulate(rules=(Rule(text='```json\n{"answer": 42}\n```'),))
    body = serve(api.url)(response_format=AS_SCHEMA, **SMALL).get_json()
    assert json.loads(body["choices"][0]["message"]["content"]) == {"answer": 42}
    assert len(api.chat_calls) == 4
    assert body["cepo_cerebras"]["degraded"] == []


def test_another_is_asked_for_once_more(serve: Any, simulate: Simulate) -> None:
    """With what was wrong, and only for the chosen answer."""
    api = simulate(rules=(Rule(pattern="cannot be used", text='{"answer": 42}'), Rule(text='{"answer": "many"}')))
    body = serve(api.url)(response_format=AS_SCHEMA, **PAIR).get_json()
    assert json.loads(body["choices"][0]["message"]["content"]) == {"answer": 42}
    assert len(api.chat_calls) == 2 * 4 + 1
    assert api.chat_calls[-1].body["response_format"] == AS_SCHEMA
    assert body["cepo_cerebras"]["usage"]["repair"]["calls"] == 1
    assert "response_format" not in str(body["cepo_cerebras"]["degraded"])


def test_an_answer_that_never_matches_is_returned_with_a_note(serve: Any, simulate: Simulate) -> None:
    """An answer is better than none."""
    api = simulate(rules=(Rule(text="many"),))
    body = serve(api.url)(response_format={"type": "json_object"}, **SMALL).get_json()
    assert body["choices"][0]["message"]["content"] == "many"
    assert len(api.chat_calls) == 5
    assert "response_format" in body["cepo_cerebras"]["degraded"][0]


def test_a_failed_second_try_leaves_a_note_with_both_reasons(serve: Any, simulate: Simulate) -> None:
    """What is wrong with the answer, and why it was not repaired."""
    rules = (Rule(pattern="cannot be used", reply=Reply(400, {"message": "?"})), Rule(text="many"))
    body = serve(simulate(rules=rules).url)(response_format={"type": "json_object"}, **SMALL).get_json()
    assert body["choices"][0]["message"]["content"] == "many"
    (note,) = body["cepo_cerebras"]["degraded"]
    first, _, second = note.partition("; the second try failed: ")
    assert "JSON" in first
    assert second


def test_an_answer_is_not_streamed_before_it_is_checked(serve: Any, simulate: Simulate) -> None:
    """What the client has read cannot be taken back."""
    api = simulate(rules=(Rule(pattern="cannot be used", text='{"answer": 42}'), Rule(text="many")))
    text = serve(api.url)(stream=True, response_format={"type": "json_object"}, cepo_cerebras_effort="none").get_data(
        as_text=True
    )
    assert "many" not in text
    assert '{\\"answer\\": 42}' in text


def test_a_schema_without_a_name_gets_one(serve: Any, simulate: Simulate) -> None:
    """The API requires a name, OpenAI's clients may omit it."""
    api = simulate(rules=(Rule(text='{"answer": 42}'),))
    body = serve(api.url)(response_format={"type": "json_schema", "json_schema": {"schema": SCHEMA}}, **SMALL)
    assert body.get_json()["cepo_cerebras"]["fitted"] == []
    assert len(api.chat_calls) == 4
    assert api.chat_calls[-1].body["response_format"] == AS_SCHEMA


def test_an_unknown_field_is_removed_from_the_format(serve: Any, simulate: Simulate) -> None:
    """The reply lists it, and the schema is sent to the model."""
    api = simulate(rules=(Rule(text='{"answer": 42}'),))
    wanted = {**AS_SCHEMA, "json_schema": {"name": "answer", "schema": SCHEMA, "strict": None, "cached": True}}
    body = serve(api.url)(response_format=wanted, cepo_cerebras_effort="none").get_json()
    assert body["cepo_cerebras"]["fitted"] == ["response_format: cached dropped"]
    (call,) = api.chat_calls
    assert call.body["response_format"] == AS_SCHEMA


def test_an_invalid_schema_is_refused(ask: Any, api: Simulator) -> None:
    """Before any call."""
    wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    response = ask(response_format=wrong)
    assert (response.status_code, response.get_json()["error"]["param"]) == (400, "response_format")
    assert api.chat_calls == ()


def test_an_answer_about_a_tools_result_is_repaired_in_its_conversation(serve: Any, simulate: Simulate) -> None:
    """The second call has the tool's result as well."""
    api = simulate(rules=(Rule(pattern="cannot be used", text='{"answer": 42}'), Rule(text="many")))
    call = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "how many?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
    ]
    body = serve(api.url)(question=None, messages=messages, response_format={"type": "json_object"}).get_json()
    assert json.loads(body["choices"][0]["message"]["content"]) == {"answer": 42}
    first, second = (call.body["messages"] for call in api.chat_calls)
    assert second[:3] == first == messages
    assert second[3] == {"role": "assistant", "content": "many"}
