"""The layers together: every call is counted, with its tokens, whatever its result."""

from __future__ import annotations

from support.scripted import Answer, Scripted, completion, in_turn

from optillm_cerebras_cepo.core.chat import ChatClient, ChatRequest, Completion, Label, Message, Step, Usage
from optillm_cerebras_cepo.core.errors import ApiUnavailable, RefusedCall
from optillm_cerebras_cepo.core.events import CallDelayed, CallFinished, Event
from optillm_cerebras_cepo.llm.context_window import ContextWindows, TokenEstimates
from optillm_cerebras_cepo.llm.hedging import HedgePolicy
from optillm_cerebras_cepo.llm.metering import Ledger, ReplyLengths, UsageTotals
from optillm_cerebras_cepo.llm.rate_limits.limiter import LocalLimitStore, RateLimiter
from optillm_cerebras_cepo.llm.rate_limits.limits import initial_limits
from optillm_cerebras_cepo.llm.retry import RetryPolicy
from optillm_cerebras_cepo.llm.stack import ModelKnowledge, RequestLayers, stack
from optillm_cerebras_cepo.llm.unsupported_params import UnsupportedParams


def build(answer: Answer) -> tuple[ChatClient, Ledger, list[Event]]:
    """Return a whole stack over a script, its ledger, and the observed events."""
    ledger, events = Ledger(), list[Event]()
    limiter = RateLimiter(LocalLimitStore(lambda now: initial_limits({}, now)), 4)
    client = stack(
        Scripted(answer),
        ModelKnowledge(UnsupportedParams(), ContextWindows(), TokenEstimates(), ReplyLengths(), HedgePolicy()),
        RequestLayers(RetryPolicy(first_wait=0.0), lambda _: limiter, 0, ledger, events.append),
    )
    return client, ledger, events


def request(step: Step = Step.PLAN) -> ChatRequest:
    """A request of this step."""
    return ChatRequest("m", (Message("user", "q"),), 10, Label(step, 1), temperature=0.5, options={"top_p": 1.0})


def test_every_call_that_was_made_is_counted() -> None:
    """A failed attempt, a refusal and the reply: three calls, the tokens of one."""
    client, ledger, events = build(
        in_turn(ApiUnavailable("busy"), RefusedCall("no", api_text="property 'top_p' is unsupported"), completion("ok"))
    )
    assert client.complete(request()).fitted == ("top_p dropped",)
    assert ledger.total == UsageTotals(calls=3, prompt_tokens=10, completion_tokens=5)
    assert [type(event) for event in events] == [CallFinished, CallDelayed, CallFinished, CallFinished]
    assert [event.error is None for event in events if isinstance(event, CallFinished)] == [False, False, True]


def test_usage_is_counted_by_step() -> None:
    """In the order of the steps, whatever the order of the calls."""
    client, ledger, _ = build(lambda _: "ok")
    for step in (Step.RATING, Step.PLAN, Step.PLAN):
        client.complete(request(step))
    assert list(ledger.by_step.items()) == [(Step.PLAN, UsageTotals(2, 20, 10)), (Step.RATING, UsageTotals(1, 10, 5))]


def test_unknown_usage_is_not_zero() -> None:
    """A reply without usage is counted as uncounted."""
    client, ledger, _ = build(lambda _: Completion("m", "ok", "stop", Usage()))
    client.complete(request())
    assert ledger.total == UsageTotals(calls=1, uncounted=1)


def test_events_contain_no_text() -> None:
    """Only label, seconds, usage and finish reason."""
    client, _, events = build(lambda _: "secret answer")
    client.complete(request())
    (event,) = events
    assert isinstance(event, CallFinished)
    assert (event.label, event.usage) == (Label(Step.PLAN, 1), Usage(10, 5))
    assert event.seconds >= 0
    assert "secret" not in repr(events)
