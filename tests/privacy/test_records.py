"""Records that could find their way into a log or a trace say nothing of what they hold for somebody."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest
from support.planted import BODY, EARLIER, KEY, PREVIOUS, REPLY, SCHEMA, SYSTEM, TOOLS, USER, kinds
from support.scripted import Scripted

from optillm_cerebras_cepo.cepo.candidate import Candidate
from optillm_cerebras_cepo.cepo.outcome import Answer, Outcome
from optillm_cerebras_cepo.cepo.request import CepoRequest
from optillm_cerebras_cepo.cepo.step_caller import ModelAccess, StepCaller
from optillm_cerebras_cepo.core.chat import (
    ChatRequest,
    Completion,
    Label,
    Message,
    Parameters,
    PassthroughRequest,
    Question,
    RawMessage,
    Step,
    Usage,
)
from optillm_cerebras_cepo.core.deadline import Deadline
from optillm_cerebras_cepo.core.errors import RefusedCall
from optillm_cerebras_cepo.host.execution import ContentDelta
from optillm_cerebras_cepo.host.request import IncomingRequest, parse_request
from optillm_cerebras_cepo.llm.event_loop import EventLoop
from optillm_cerebras_cepo.llm.sdk import SdkClient
from optillm_cerebras_cepo.response_format import RequestedFormat
from optillm_cerebras_cepo.runtime import Runtime
from optillm_cerebras_cepo.session import RequestResult
from optillm_cerebras_cepo.settings.declaration import Settings

HISTORY = (Message("user", EARLIER), Message("assistant", PREVIOUS))
FORWARD = PassthroughRequest(
    "the request has tools", (RawMessage({"role": "user", "content": USER}),), {"tools": TOOLS}
)
QUESTION = Question(USER, SYSTEM, HISTORY, FORWARD)
PARAMETERS = Parameters(stop=(USER,), response_format=SCHEMA, user=USER, logit_bias={USER: 1.0})
CANDIDATE = Candidate(1, REPLY, (REPLY, REPLY))
ANSWER = Answer(REPLY, tool_calls=({"function": {"arguments": REPLY}},), reasoning=REPLY)
OUTCOME = Outcome((ANSWER,), (CANDIDATE,), (1.0,), 1)


def _asked() -> CepoRequest:
    return parse_request(BODY, QUESTION)


def _solved() -> RequestResult:
    fields: dict[str, Any] = dict.fromkeys(RequestResult.__dataclass_fields__)
    return RequestResult(**fields | {"outcome": OUTCOME})


def _caller() -> StepCaller:
    request = CepoRequest(QUESTION, Settings(), PARAMETERS, RequestedFormat(SCHEMA))
    return StepCaller(request, ModelAccess(Scripted(REPLY), "m"))


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
    "a form": lambda: RequestedFormat(SCHEMA),
    "what a request asks": _asked,
    "an incoming request": lambda: IncomingRequest(_asked(), True, cycle([True])),
    "a way to the model": _caller,
    "a candidate": lambda: CANDIDATE,
    "an answer": lambda: ANSWER,
    "an outcome": lambda: OUTCOME,
    "what a request came to": _solved,
    "a piece of an answer": lambda: ContentDelta({"content": REPLY}),
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
    client = SdkClient("http://127.0.0.1:1", KEY, EventLoop())
    try:
        assert runtime.client("http://127.0.0.1:1", KEY)
        assert kinds(f"{client!r} {client} {runtime!r} {runtime}") == set()
    finally:
        client.close()
        runtime.reset()
