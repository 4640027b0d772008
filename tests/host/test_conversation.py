"""Messages as a question: roles are kept, and invalid conversations are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optillm_cerebras_cepo.core.chat import Message, Question
from optillm_cerebras_cepo.core.errors import BadRequest
from optillm_cerebras_cepo.host.request import question_from, question_from_text
from optillm_cerebras_cepo.simulator.answers import Rule
from optillm_cerebras_cepo.simulator.server import Simulator


def ask(messages: Any, **fields: Any) -> Question:
    """Read a body with these messages."""
    return question_from({"messages": messages, **fields})


def test_the_last_user_message_is_the_question() -> None:
    """Earlier ones keep roles and order; leading system messages become one system prompt."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "And exact."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "developer", "content": "From now on in French."},
        {"role": "user", "content": [{"type": "text", "text": "What is"}, {"type": "text", "text": "6 times 7?"}]},
    ]
    history = (Message("user", "Hello"), Message("assistant", "Hi"), Message("system", "From now on in French."))
    assert ask(messages) == Question("What is 6 times 7?", "Be brief.\n\nAnd exact.", history)


HELLO, WHY = {"role": "user", "content": "Hello"}, {"role": "user", "content": "Why?"}
BRIEF, FRENCH = {"role": "system", "content": "Be brief."}, {"role": "system", "content": "In French."}


@pytest.mark.parametrize(
    ("messages", "system", "history"),
    [
        ([BRIEF, FRENCH, WHY], "Be brief.\n\nIn French.", ()),
        ([BRIEF, HELLO, FRENCH, WHY], "Be brief.", (Message("user", "Hello"), Message("system", "In French."))),
        ([BRIEF, HELLO, WHY, FRENCH], "Be brief.", (Message("user", "Hello"), Message("system", "In French."))),
        ([HELLO, BRIEF, WHY], "", (Message("user", "Hello"), Message("system", "Be brief."))),
        ([BRIEF, WHY, FRENCH], "Be brief.\n\nIn French.", ()),
        ([WHY, BRIEF], "Be brief.", ()),
    ],
)
def test_a_later_system_message_keeps_its_place(messages: Any, system: str, history: Any) -> None:
    """It applies from there on. One after the last user message is moved right before the question."""
    assert ask(messages) == Question("Why?", system, history)


@pytest.mark.parametrize("content", ["", " ", [], None, [{"type": "text", "text": ""}]])
@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
@pytest.mark.parametrize("after", [False, True])
def test_empty_messages_are_left_out(role: str, content: Any, after: bool) -> None:
    """Clients send an empty system prompt if the user has set none."""
    empty, turn = {"role": role, "content": content}, {"role": "user", "content": "Why?"}
    if after and role == "user":
        with pytest.raises(BadRequest, match=r"messages\[1\]\.content is empty"):
            ask([turn, empty])
        return
    question = ask([turn, empty] if after else [empty, turn])
    assert question == Question("Why?", fitted=("messages: turns without content left out",))


def test_a_tag_is_not_sent_to_the_model() -> None:
    """OptiLLM 0.3 leaves it in the messages."""
    messages = [{"role": "user", "content": "<optillm_approach>cepo_cerebras</optillm_approach> Why?"}]
    assert ask(messages).text == "Why?"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        (None, "messages"),
        ([], "messages"),
        ("hello", "messages"),
        ({}, "messages"),
        (["hello"], "messages[0]"),
        ([{"content": "hello"}], "messages[0].role"),
        ([{"role": "robot", "content": "42"}], "messages[0].role"),
        ([{"role": "tool", "tool_call_id": "c1"}, {"role": "robot"}], "messages[1].role"),
        ([{"role": "tool", "content": 42}], "messages[0].content"),
        ([{"role": "user"}], "messages[0].content"),
        ([{"role": "user", "content": ""}], "messages[0].content"),
        ([{"role": "user", "content": 5}], "messages[0].content"),
        ([{"role": "user", "content": {"text": "x"}}], "messages[0].content"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content"),
        ([{"role": "user", "content": [{"text": "x"}]}], "messages[0].content"),
    ],
)
def test_invalid_conversations_are_refused(messages: Any, param: str) -> None:
    """400, and `param` is the path."""
    with pytest.raises(BadRequest) as caught:
        ask(messages)
    assert caught.value.param == param


TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "2"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}


@pytest.mark.parametrize(
    ("messages", "fields", "why"),
    [
        ([{"role": "user", "content": "add"}], {"tools": [TOOL], "tool_choice": "auto"}, "tools"),
        (
            [{"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "c1", "content": "2"}],
            {},
            "calls",
        ),
        ([{"role": "user", "content": [{"type": "text", "text": "what is this?"}, IMAGE]}], {}, "no text"),
    ],
)
def test_requests_that_cannot_be_planned_are_passed_through(messages: Any, fields: dict[str, Any], why: str) -> None:
    """With their messages, their tools, and the reason."""
    forward = ask(messages, **fields).passthrough
    assert forward
    assert why in forward.reason
    assert [message.wire() for message in forward.messages] == messages
    assert forward.options == fields


def test_fields_of_our_replies_are_not_passed_through() -> None:
    """The API refuses unknown fields of messages; a tag is for OptiLLM."""
    echoed = {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [CALL], "refusal": None}
    tagged = {"role": "user", "content": "<optillm_approach>cepo_cerebras</optillm_approach> add"}
    forward = ask([tagged, echoed, {"role": "tool", "tool_call_id": "c1", "content": "2"}]).passthrough
    assert forward
    assert [message.wire() for message in forward.messages[:2]] == [
        {"role": "user", "content": "add"},
        {"role": "assistant", "tool_calls": [CALL]},
    ]


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"tools": 5}, "tools"), ({"tools": [5]}, "tools"), ({"tool_choice": "required"}, "tool_choice")],
)
def test_invalid_tools_are_refused(fields: dict[str, Any], param: str) -> None:
    """`param` is the path. Empty ones count as none."""
    with pytest.raises(BadRequest) as caught:
        ask([{"role": "user", "content": "x"}], **fields)
    assert caught.value.param == param
    assert ask([{"role": "user", "content": "x"}], tools=[], tool_choice="auto").passthrough is None


@pytest.mark.parametrize("choice", [None, "", {}, "none", "auto"])
def test_a_tool_choice_without_tools_is_accepted_unless_it_demands_a_call(choice: Any) -> None:
    """Clients send it beside an empty list of tools; the question is planned."""
    assert ask([{"role": "user", "content": "x"}], tools=[], tool_choice=choice) == Question("x")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "type", "text"]) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(ANYTHING)
def test_any_json_is_a_question_or_a_bad_request(messages: Any) -> None:
    """No other exception is raised."""
    try:
        question = ask(messages)
    except BadRequest:
        return
    assert question.text.strip() or question.passthrough


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("User: What is 6 times 7?", "What is 6 times 7?"),
        ("an answer of another approach", "an answer of another approach"),
        ("User: Hello\nAssistant: Hi\nUser: Why?", "User: Hello\nAssistant: Hi\nUser: Why?"),
    ],
)
def test_a_conversation_in_one_text_keeps_its_marks(text: str, question: str) -> None:
    """A single turn loses its mark; several keep theirs."""
    assert question_from_text("Be brief.", text) == Question(question, "Be brief.")


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "system", "content": "Say hello."}],
        [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
        [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}, {"role": "system", "content": "z"}],
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_that_ends_with_another_turn_is_the_models(
    serve: Any, simulate: Callable[..., Simulator], messages: Any, stream: bool
) -> None:
    """It asks nothing that could be planned; a model may continue its own turn, or refuse."""
    api = simulate(rules=(Rule(text="Hello."),))
    response = serve(api.url)(None, messages=messages, stream=stream)
    assert response.status_code == 200
    text = response.get_data(as_text=True)
    assert "Hello." in text
    assert '"forwarded": "the conversation does not end with a message of the user"' in text.replace('":"', '": "')
    (call,) = api.chat_calls
    assert call.body["messages"] == messages
