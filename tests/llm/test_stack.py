"""The layers together: every call is counted, with its tokens, whatever becomes of it."""

from __future__ import annotations

from support.scripted import Answer, Scripted, completion, in_turn

from optillm_cerebras_cepo.chat import ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.errors import ApiUnavailable, RefusedCall
from optillm_cerebras_cepo.events import Called, Event, Waits
from optillm_cerebras_cepo.llm.base import ChatClient
from optillm_cerebras_cepo.llm.context import Contexts
from optillm_cerebras_cepo.llm.estimate import Estimates
from optillm_cerebras_cepo.llm.fit import Refusals
from optillm_cerebras_cepo.llm.limits import limited
from optillm_cerebras_cepo.llm.meter import Ledger, Spent
from optillm_cerebras_cepo.llm.pace import Gate, LocalBooks
from optillm_cerebras_cepo.llm.reserve import ReplyLengths
from optillm_cerebras_cepo.llm.retry import RetryPolicy
from optillm_cerebras_cepo.llm.stack import stack


def build(answer: Answer) -> tuple[ChatClient, Ledger, list[Event]]:
    """A whole stack over a script, its books, and what its observer sees."""
    ledger, events = Ledger(), list[Event]()
    gate = Gate(LocalBooks(lambda now: limited({}, now)), 4)
    client = stack(
        Scripted(answer),
        refusals=Refusals(),
        contexts=Contexts(),
        estimates=Estimates(),
        lengths=ReplyLengths(),
        policy=RetryPolicy(first=0.0),
        gate=lambda _: gate,
        age=0,
        ledger=ledger,
        observer=events.append,
    )
    return client, ledger, events


def request(step: Step = Step.PLAN) -> ChatRequest:
    """A request of this step."""
    return ChatRequest("m", (Message("user", "q"),), 10, Label(step, 1), temperature=0.5, options={"top_p": 1.0})


def test_every_call_that_was_made_is_counted() -> None:
    """A failed try, a refusal and the reply: three calls, the tokens of one."""
    client, ledger, events = build(
        in_turn(ApiUnavailable("busy"), RefusedCall("no", api_text="property 'top_p' is unsupported"), completion("ok"))
    )
    assert client.complete(request()).fitted == ("top_p dropped",)
    assert ledger.total == Spent(calls=3, prompt_tokens=10, completion_tokens=5)
    assert [type(event) for event in events] == [Called, Waits, Called, Called]
    assert [event.error is None for event in events if isinstance(event, Called)] == [False, False, True]


def test_the_books_are_kept_by_step() -> None:
    """In the order of the steps, whatever the order of the calls."""
    client, ledger, _ = build(lambda _: "ok")
    for step in (Step.RATING, Step.PLAN, Step.PLAN):
        client.complete(request(step))
    assert list(ledger.by_step.items()) == [(Step.PLAN, Spent(2, 20, 10)), (Step.RATING, Spent(1, 10, 5))]


def test_unknown_usage_is_not_zero() -> None:
    """A reply without usage is counted as one that could not be counted."""
    client, ledger, _ = build(lambda _: Completion("m", "ok", "stop", Usage()))
    client.complete(request())
    assert ledger.total == Spent(calls=1, uncounted=1)


def test_an_event_tells_what_a_call_took_and_not_what_it_said() -> None:
    """Observers see label, seconds, usage and finish reason; there is no field for a text."""
    client, _, events = build(lambda _: "secret answer")
    client.complete(request())
    (event,) = events
    assert isinstance(event, Called)
    assert (event.label, event.usage) == (Label(Step.PLAN, 1), Usage(10, 5))
    assert event.seconds >= 0
    assert "secret" not in repr(events)
