"""Records that could find their way into a log or a trace say nothing of what they hold for somebody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.planted import BODY, EARLIER, KEY, PREVIOUS, REPLY, SCHEMA, SYSTEM, TOOLS, USER, kinds
from support.scripted import Scripted

from optillm_cerebras_cepo.cepo.asker import Asker
from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.cepo.outcome import Answer, Outcome
from optillm_cerebras_cepo.chat import (
    ChatRequest,
    Completion,
    Forward,
    Label,
    Message,
    Question,
    RawMessage,
    Step,
    Usage,
)
from optillm_cerebras_cepo.deadline import Deadline
from optillm_cerebras_cepo.errors import RefusedCall
from optillm_cerebras_cepo.form import Form
from optillm_cerebras_cepo.host.asked import Asked, asked_from
from optillm_cerebras_cepo.host.intake import Arrival
from optillm_cerebras_cepo.host.work import Piece
from optillm_cerebras_cepo.llm.loop import Loop
from optillm_cerebras_cepo.llm.sdk import SdkClient
from optillm_cerebras_cepo.parameters import Parameters
from optillm_cerebras_cepo.runtime import Runtime, Solved
from optillm_cerebras_cepo.settings import Settings

HISTORY = (Message("user", EARLIER), Message("assistant", PREVIOUS))
FORWARD = Forward("the request has tools", (RawMessage({"role": "user", "content": USER}),), {"tools": TOOLS})
QUESTION = Question(USER, SYSTEM, HISTORY, FORWARD)
PARAMETERS = Parameters(stop=(USER,), response_format=SCHEMA, user=USER, logit_bias={USER: 1.0})
CANDIDATE = Candidate(1, REPLY, (REPLY, REPLY))
ANSWER = Answer(REPLY, tool_calls=({"function": {"arguments": REPLY}},), reasoning=REPLY)
OUTCOME = Outcome((ANSWER,), (CANDIDATE,), (1.0,), 1)


def _asked() -> Asked:
    return asked_from(BODY, QUESTION)


def _solved() -> Solved:
    fields: dict[str, Any] = dict.fromkeys(Solved.__dataclass_fields__)
    return Solved(**fields | {"outcome": OUTCOME})


def _asker() -> Asker:
    return Asker(Scripted(REPLY), "m", False, QUESTION, Settings(), parameters=PARAMETERS, form=Form(SCHEMA))


RECORDS: dict[str, Callable[[], Any]] = {
    "a message": lambda: HISTORY[0],
    "a raw message": lambda: FORWARD.messages[0],
    "a request": lambda: ChatRequest(
        "m", HISTORY, 1, Label(Step.PLAN), options={"stop": [USER], "user": USER}, listener=list[Any]([USER]).append
    ),
    "a completion": lambda: Completion("m", REPLY, "stop", Usage(), reasoning=REPLY, tool_calls=({"id": REPLY},)),
    "a conversation to forward": lambda: FORWARD,
    "a question": lambda: QUESTION,
    "what a client asks of its answer": lambda: PARAMETERS,
    "a form": lambda: Form(SCHEMA),
    "what a request asks": _asked,
    "a request at the door": lambda: Arrival(_asked(), USER, True),
    "a way to the model": _asker,
    "a candidate": lambda: CANDIDATE,
    "an answer": lambda: ANSWER,
    "an outcome": lambda: OUTCOME,
    "what a request came to": _solved,
    "a piece of an answer": lambda: Piece({"content": REPLY}),
    "a refusal of the API": lambda: RefusedCall("refused", api_text=f"messages {USER}"),
    "settings": lambda: Settings(redis_url=f"redis://:{KEY}@host"),
    "a deadline": lambda: Deadline(1.0),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_keeps_its_texts_to_itself(name: str) -> None:
    """As repr and as str."""
    record = RECORDS[name]()
    assert kinds(f"{record!r} {record}") == set()


def test_a_connection_keeps_its_key_to_itself() -> None:
    """The client of one API, and the runtime that has it."""
    runtime = Runtime()
    client = SdkClient("http://127.0.0.1:1", KEY, Loop())
    try:
        assert runtime.client("http://127.0.0.1:1", KEY)
        assert kinds(f"{client!r} {client} {runtime!r} {runtime}") == set()
    finally:
        client.close()
        runtime.reset()
